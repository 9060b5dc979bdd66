//! Carries out the command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use serde_json::Value as Json;

use crate::{
    against,
    args::{CheckArgs, Cli, Command, ExplainCertArgs, ExplainCommand, SimulateArgs},
    check::{check, without_policy},
    exchange::HeaderList,
    explain::explain,
    policy::{Policy, Source, read_bytes},
    request::{Capture, Hints},
    schema,
    simulate::{Outcome, Sender, simulate},
    text, token,
};

/// The input cannot be read; clap uses the same code for the command line.
pub const UNREADABLE: u8 = 2;

/// Carries out a command.
///
/// # Errors
/// If something cannot be read, or the output cannot be written.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Simulate(args) => run_simulate(&args),
        Command::Check(args) => run_check(&args),
        Command::Explain(ExplainCommand::Cert(args)) => run_explain(&args),
        Command::Schema => done(print(schema::SCHEMA)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
            done(print(&String::from_utf8(script)?))
        }
        Command::Man { directory } => {
            let pages = clap_mangen::generate_to(Cli::command(), &directory);
            pages.with_context(|| directory.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn done(result: Result<()>) -> Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

fn run_check(args: &CheckArgs) -> Result<ExitCode> {
    let files: Vec<Source> =
        args.files.iter().map(|file| Source::read(file)).collect::<Result<_>>()?;
    let checked = check(&files, args.at.unwrap_or_else(now));
    if let Some(names) = without_policy(&checked, &files) {
        bail!("{}: there is no policy in it", names.join(", "));
    }
    if args.json {
        print(&text::problems_json(&checked, &files))?;
    } else {
        print(&text::problems(&checked, &files))?;
    }
    let is_good = checked.is_accepted() && (!args.strict || checked.problems.is_empty());
    Ok(ExitCode::from(u8::from(!is_good)))
}

fn run_explain(args: &ExplainCertArgs) -> Result<ExitCode> {
    let policy = Policy::read(&args.policy)?;
    let Source { name, text: pem } = Source::read(&args.certificate)?;
    let pem = leaf(&pem).with_context(|| name.clone())?;
    let explanation = explain(&policy, &pem, args.at.unwrap_or_else(now));
    let explanation = explanation.with_context(|| name)?;
    if args.json {
        print(&format!("{}\n", serde_json::to_string(&explanation)?))?;
    } else {
        print(&text::explanation(&explanation))?;
    }
    let is_in = explanation.is_valid && explanation.namespaces.len() == 1;
    Ok(ExitCode::from(u8::from(!is_in)))
}

/// Writes to the standard output: with colours only on a terminal, and never if `NO_COLOR` is set. A reader that has
/// closed it is no error.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("the standard output"),
    }
}

/// The time, in seconds since the epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the gate has no clock, a command has one")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn run_simulate(args: &SimulateArgs) -> Result<ExitCode> {
    let policy = Policy::read(&args.policy)?;
    let other = args.against.as_deref().map(Policy::read).transpose()?;
    let sender = sender(args, &policy.json)?;
    let other_sender = other.as_ref().map(|other| self::sender(args, &other.json)).transpose()?;
    let hints = Hints {
        signal: args.signal.map(Into::into),
        protocol: args.protocol.map(Into::into),
        encoding: args.encoding,
    };
    let files = files(&args.request)?;
    let (mut worst, mut newly_lost) = (Outcome::Whole, 0);
    for file in &files {
        let (name, body) = read_bytes(file)?;
        let capture = Capture::read(body, hints).with_context(|| name.clone())?;
        let (shown, verdicts) = simulate(&policy.gate, &policy.json, &capture, &sender)?;
        worst = worst.max(shown.outcome);
        let change = match (&other, &other_sender) {
            (Some(other), Some(sender)) => {
                let (then, after) = simulate(&other.gate, &other.json, &capture, sender)?;
                Some(against::change((&shown, verdicts.as_ref()), (&then, after.as_ref())))
            }
            _ => None,
        };
        newly_lost += change.as_ref().map_or(0, |change| change.newly_lost.records);
        if args.json {
            let mut json = serde_json::to_value(&shown)?;
            json["file"] = Json::String(name);
            if let Some(change) = &change {
                json["against"] = serde_json::to_value(change)?;
            }
            print(&format!("{json}\n"))?;
            continue;
        }
        let mut output = text::simulation(&shown);
        if files.len() > 1 {
            output = format!("{name}\n{output}\n");
        }
        if let (Some(change), Some(other)) = (&change, &other) {
            output += &text::change(change, &other.name);
        }
        print(&output)?;
    }
    Ok(ExitCode::from(match (other, worst) {
        (Some(_), _) => u8::from(newly_lost > 0),
        (None, Outcome::Whole) => 0,
        (None, Outcome::Part) => 1,
        (None, Outcome::Nothing) => 3,
    }))
}

/// The files of a directory, sorted by name; a file, or the standard input, is itself.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{}: there is no file in it", path.display());
    }
    Ok(files)
}

fn sender(args: &SimulateArgs, policy: &Json) -> Result<Sender> {
    let read = |path: &PathBuf| {
        let (name, bytes) = read_bytes(path)?;
        String::from_utf8(bytes).with_context(|| format!("{name}: not text"))
    };
    let certificate = args.cert.as_ref().map(read).transpose()?;
    let certificate = certificate.map(|pem| leaf(&pem)).transpose()?;
    let claims = match &args.jwt {
        Some(path) => {
            let claims = token::claims(&read(path)?);
            Some(claims.with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let mut headers = HeaderList::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').context("write a header as name: value")?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
    if let Some(key) = &args.api_key {
        let name = api_key_header(policy.pointer("/senders/identify").unwrap_or(&Json::Null));
        let name = name.context("--api-key: the policy has no apiKey")?;
        headers.push((name.to_ascii_lowercase(), key.clone().into_bytes()));
    }
    Ok(Sender { certificate, claims, headers, now: args.at.unwrap_or_else(now) })
}

/// The first certificate of a PEM file, which is the leaf in a chain (RFC 8446, section 4.4.2).
///
/// # Errors
/// If there is none.
pub fn leaf(pem: &str) -> Result<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let start = pem.find("-----BEGIN CERTIFICATE-----").context("no certificate in PEM")?;
    let end = pem[start..].find(END).context("the certificate has no end")?;
    Ok(format!("{}\n", &pem[start..start + end + END.len()]))
}

/// The header in which a policy expects API keys.
fn api_key_header(sources: &Json) -> Option<String> {
    sources.as_array()?.iter().find_map(|source| {
        let own = source.pointer("/apiKey/header").and_then(Json::as_str).map(str::to_owned);
        let nested = ["allOf", "anyOf"].into_iter();
        own.or_else(|| nested.filter_map(|key| api_key_header(source.get(key)?)).next())
    })
}
