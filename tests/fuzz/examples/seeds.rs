//! Writes the seeds of the corpus: the requests of the cases, a certificate for each of their senders, and their
//! configurations. A seed has the name of its case, so a new one replaces the old one.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use sluice_cases::{
    case::{self, Case, Protocol, Sender},
    wire,
};
use sluice_encodings::Encoding;
use sluice_fuzz::{decode, exchange::Exchange, json, splice, x509};
use sluice_otlp::Signal;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Inputs above this many bytes come from cases about a limit, and are slow to mutate.
const MAX_INPUT: usize = 4096;

/// The case that is also sent with each option of an exchange.
const ORDINARY: &str = "records/records_that_lack_the_attribute_are_dropped_and_counted";

/// A frame has five bytes before the message, and its parser does not look at the message.
const MAX_FRAME: usize = 32;

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = Corpus { folder: here.join("corpus"), written: BTreeSet::new() };
    let cases = here.join("../cases/cases");
    for case in case::load(&cases)? {
        let name = case.name.replace('/', "-");
        for protocol in case.request.protocols() {
            exchange(&mut corpus, &name, &case, *protocol)?;
        }
        let certificate = certificate(&case.sender);
        corpus.add("certificate", &sender_name(&case.sender), &certificate)?;
        let configuration = serde_json::to_vec(&case::configuration(&cases, &case)?)?;
        let common = case.gate.is_null();
        corpus.add("configuration", if common { "common" } else { &name }, &configuration)?;
    }
    by_hand(&mut corpus)?;
    Ok(())
}

struct Corpus {
    folder: PathBuf,
    /// The seeds that have been written, by target, because many cases send the same.
    written: BTreeSet<(String, Vec<u8>)>,
}

impl Corpus {
    fn add(&mut self, target: &str, name: &str, input: &[u8]) -> io::Result<()> {
        if input.len() > MAX_INPUT || !self.written.insert((target.to_owned(), input.to_vec())) {
            return Ok(());
        }
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), input)
    }
}

/// The request of a case, for the gate and for every parser of a part of it.
fn exchange(corpus: &mut Corpus, name: &str, case: &Case, protocol: Protocol) -> Result<()> {
    let request = wire::request(case, protocol)?;
    let reply = wire::reply(case, protocol)?;
    let mut head = request.headers;
    if case.sender.certificate {
        head.push(("@certificate".to_owned(), pem(&certificate(&case.sender))));
        head.push(("@valid".to_owned(), vec![1]));
    }
    let mut reply_head = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
    reply_head.extend(reply.headers);
    let (protocol_name, options) = match protocol {
        Protocol::Grpc => ("grpc", "0"),
        Protocol::Http => ("http", "0h"),
        Protocol::Json => ("json", "0h"),
        Protocol::Write => ("write", "0h"),
    };
    let mut exchange = Exchange {
        options: options.to_owned(),
        head,
        body: request.body.clone(),
        reply_head,
        reply_body: reply.body.unwrap_or_default(),
    };
    corpus.add("gate", &format!("{name}-{protocol_name}"), &exchange.write())?;
    if case.name == ORDINARY {
        for options in ["0r", "0m", "0i", "0l", "0t", "1h", "2h"] {
            exchange.options = options.to_owned();
            corpus.add("gate", &format!("{options}-{protocol_name}"), &exchange.write())?;
        }
    }
    match protocol {
        Protocol::Grpc if request.body.len() <= MAX_FRAME => {
            corpus.add("grpc_frame", name, &request.body)?;
        }
        Protocol::Grpc | Protocol::Json => {}
        Protocol::Write => {
            let limit = 1 << 20;
            if let Ok(message) =
                sluice_encodings::decode(Encoding::SnappyRaw, &request.payload, limit)
            {
                for choice in 0..2 {
                    let input = [&[choice], message.as_slice()].concat();
                    corpus.add("series", &format!("{name}-{choice}"), &input)?;
                }
            }
        }
        Protocol::Http => {
            let encoding = wire::encoding(case, protocol)?;
            if encoding != Encoding::Identity {
                let input = [&[decode::choice(encoding)], request.payload.as_slice()].concat();
                corpus.add("decode", name, &input)?;
            } else if let Some(signal) = Signal::ALL.iter().position(|s| *s == request.signal) {
                let choice = splice::choice(signal, if signal == 1 { 2 } else { 0 }, true);
                let input = [&[choice], request.payload.as_slice()].concat();
                corpus.add("splice", name, &input)?;
                if let Some(text) = json::from_protobuf(request.signal, &request.payload) {
                    let choice = json::choice(signal, if signal == 1 { 2 } else { 0 });
                    corpus.add("json", name, &[&[choice], text.as_slice()].concat())?;
                }
            }
        }
    }
    Ok(())
}

fn certificate(sender: &Sender) -> Vec<u8> {
    let dns = sender.dns.iter().map(|name| (x509::DNS, name.as_bytes()));
    let uri = sender.uri.iter().map(|name| (x509::URI, name.as_bytes()));
    x509::certificate(&dns.chain(uri).collect::<Vec<_>>())
}

fn sender_name(sender: &Sender) -> String {
    let names: Vec<_> = sender.dns.iter().chain(&sender.uri).map(String::as_str).collect();
    let name = names.join("+").replace(|c: char| !c.is_ascii_alphanumeric() && c != '+', "-");
    if name.is_empty() { "nobody".to_owned() } else { name }
}

/// A certificate in PEM on one line, as a header has it.
fn pem(der: &[u8]) -> Vec<u8> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let base64 = BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----{base64}-----END CERTIFICATE-----").into_bytes()
}

/// Inputs that no case sends.
fn by_hand(corpus: &mut Corpus) -> Result<()> {
    let payments = Sender::default();
    corpus.add("certificate", "pem", &pem(&certificate(&payments)))?;
    for (name, input) in [
        ("dns", "dns *.{namespace}\n*.payments"),
        ("dns-service", "dns {serviceAccount}.{namespace}.svc\nOtel.payments.svc."),
        (
            "spiffe",
            "uri spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}\nspiffe://prod.example/ns/payments/sa/otel",
        ),
        ("another-name", "dns *.{namespace}\nx.payments"),
        ("another-path", "uri spiffe://a/{namespace}\nspiffe://a?payments"),
        ("ambiguous", "dns {namespace}-x\npayments-x"),
        ("unknown", "uri urn:{tenant}:{namespace}\nurn:a:b"),
    ] {
        corpus.add("pattern", name, input.as_bytes())?;
    }
    let hidden = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"source.name","value":{"stringValue":"a"}}]},
        "scopeLogs":[{"logRecords":[{"body":{"stringValue":"\ud83d\ude00\"],}"}},{}]}]}]}"#;
    for (name, text) in [
        ("escapes", hidden.to_owned()),
        ("another-spelling", hidden.replace("scopeLogs", "scope_logs")),
        ("an-escaped-name", hidden.replace("scopeLogs", "scope\\u004cogs")),
        ("no-name", hidden.replace("\"resource\"", "\"\"")),
        ("null", hidden.replace("[{}]", "null")),
    ] {
        for level in 0..3 {
            let input = [&[json::choice(0, level)], text.as_bytes()].concat();
            corpus.add("json", &format!("{name}-{level}"), &input)?;
        }
    }
    for (name, input) in [
        ("last-element", "Hash=1;Cert=\"first\",By=a; cert = x ;CERT=\"%2D\";DNS=b"),
        ("quoted", r#"Subject="CN=a,Cert=no;O=\"y,";Cert="b";URI=spiffe://a"#),
        ("two", "Cert=a;Cert=b"),
        ("open", "Cert=a;Subject=\"x"),
    ] {
        corpus.add("xfcc", name, input.as_bytes())?;
    }
    Ok(())
}
