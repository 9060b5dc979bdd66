//! What a backend's words mean, where its status alone says too little, or something else.

/// What is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The request is over a limit, and stays so however often it is sent.
    TooLarge,
    /// The tenant is none, or none that the backend takes: the platform's to set.
    Tenant,
    /// Over a rate that another moment may be under.
    Throttled,
    /// The same, unless the batch alone is over what may come at once.
    Burst,
}

/// One wording.
struct Words {
    /// Who says it; anybody if `None`.
    of: Option<&'static str>,
    /// The statuses that it is heeded with, or what means the same over gRPC; any if there are none.
    statuses: &'static [u16],
    /// Whether the message begins with it.
    begins: bool,
    text: &'static str,
    means: Meaning,
}

/// Words anywhere in the message.
const fn has(statuses: &'static [u16], text: &'static str, means: Meaning) -> Words {
    Words { of: None, statuses, begins: false, text, means }
}

/// What is said of a tenant.
const fn tenant(text: &'static str) -> Words {
    Words { of: None, statuses: &[400, 422, 503], begins: true, text, means: Meaning::Tenant }
}

/// THE table; the first row that fits counts.
const WORDS: [Words; 10] = [
    // grpc-go, of a message that was not compressed, and of one that was. Loki says it with 503, and
    // Tempo with 429, of what is over the limit between their own parts.
    has(&[], "received message larger than max", Meaning::TooLarge),
    has(&[], "received message after decompression larger than max", Meaning::TooLarge),
    // Go's `net/http`; Tempo says it with 400.
    has(&[400], "http: request body too large", Meaning::TooLarge),
    // Tempo says the first with 503.
    tenant("no org id"),
    tenant("multiple org IDs"),
    tenant("tenant ID "),
    tenant("too many tenant IDs"),
    // Over gRPC Tempo sends no RetryInfo with it before 3.0.
    Words {
        of: Some("tempo"),
        ..has(&[413, 429], "RATE_LIMITED: batch size (", Meaning::TooLarge)
    },
    Words { of: Some("tempo"), ..has(&[413, 429], "RATE_LIMITED: ", Meaning::Throttled) },
    Words { of: Some("loki"), ..has(&[429], "ngestion rate limit exceeded", Meaning::Burst) },
];

/// What a backend means by what it said with a status.
pub(crate) fn meaning(of: &str, status: u16, said: &str) -> Option<Meaning> {
    let fits = |words: &&Words| {
        words.of.is_none_or(|name| name == of)
            && (words.statuses.is_empty() || words.statuses.contains(&status))
            && if words.begins { said.starts_with(words.text) } else { said.contains(words.text) }
    };
    WORDS.iter().find(fits).map(|words| words.means)
}

/// Loki's rate for a tenant, in bytes a second, and the most that may come at once, unless it is told
/// otherwise (`ingestion_rate_mb`, `ingestion_burst_size_mb`).
const LOKI_RATE: u32 = 4 << 20;
const LOKI_BURST: u32 = 6 << 20;

/// The burst that a batch is over by Loki's own words, `.. (limit: 4194304 bytes/sec) .. totaling
/// '7372862' bytes ..`: such a batch never succeeds. `burst` is what Loki is configured with. If that
/// is not known, it is what Loki comes with, as far as its rate says that nobody has raised it.
pub(crate) fn over_burst(said: &str, burst: Option<u32>) -> Option<u32> {
    let number = |before: &str| -> Option<u32> {
        let (_, rest) = said.split_once(before)?;
        let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    let burst = match burst {
        Some(burst) => burst,
        None => number("(limit: ").filter(|rate| *rate <= LOKI_RATE).map(|_| LOKI_BURST)?,
    };
    number("totaling '").filter(|total| *total > burst).map(|_| burst)
}

/// Whether a backend that answers so may have stored some of the records all the same: Loki and
/// Mimir store what is good beside what they answer 400 for, Loki too what is under its limits for
/// streams beside what it answers 429 for, and Pyroscope what came before what it answers 500 for.
pub(crate) fn is_partial(of: &str, status: u16, meaning: Option<Meaning>) -> bool {
    match (of, status) {
        ("loki" | "mimir", 400) | ("pyroscope", 500) => true,
        ("loki", 429) => meaning.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_own_words() {
        for words in &WORDS {
            let of = words.of.unwrap_or("otlp");
            let status = words.statuses.first().copied().unwrap_or(500);
            assert_eq!(meaning(of, status, words.text), Some(words.means), "{}", words.text);
        }
        assert_eq!(meaning("mimir", 429, "RATE_LIMITED: "), None, "another backend's words");
        assert_eq!(meaning("otlp", 500, "no org id"), None, "another status");
        assert_eq!(meaning("otlp", 400, "label \"no org id\""), None, "not where it must stand");
    }

    #[test]
    fn a_batch_is_over_a_burst_that_is_known() {
        let said = |rate: u64, total: u64| {
            format!(
                "ingestion rate limit exceeded for user payments (limit: {rate} bytes/sec) while \
                 attempting to ingest '36' lines totaling '{total}' bytes, reduce log volume"
            )
        };
        for (rate, total, burst, over) in [
            (4_194_304, 7_372_862, None, Some(6_291_456)),
            // The rate of each of three distributors.
            (1_398_101, 7_372_862, None, Some(6_291_456)),
            (4_194_304, 6_291_456, None, None),
            (10_485_760, 17_372_862, None, None),
            (10_485_760, 17_372_862, Some(15 << 20), Some(15 << 20)),
            (4_194_304, 7_372_862, Some(15 << 20), None),
        ] {
            assert_eq!(over_burst(&said(rate, total), burst), over, "{rate} {total} {burst:?}");
        }
        assert_eq!(over_burst("ingestion rate limit exceeded", None), None);
        assert_eq!(over_burst("ingestion rate limit exceeded", Some(1)), None);
        assert_eq!(over_burst("(limit: 1) totaling '99999999999999999999999'", None), None);
    }
}
