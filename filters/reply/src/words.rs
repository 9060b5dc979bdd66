//! The meaning of a backend's words, if its status alone is not enough or is misleading.

use sluice_stores::{ANY_STORES_WORDS, Burst, Meaning, Store, Words};

/// What a store means by this message with this status. The first matching wording counts.
pub(crate) fn meaning(store: &Store, status: u16, said: &str) -> Option<Meaning> {
    let fits = |words: &&Words| {
        (words.statuses.is_empty() || words.statuses.contains(&status))
            && if words.begins { said.starts_with(words.text) } else { said.contains(words.text) }
    };
    ANY_STORES_WORDS.iter().chain(store.words).find(fits).map(|words| words.means)
}

/// The burst limit that a batch exceeds by the store's own words,
/// `.. (limit: 4194304 bytes/sec) .. totaling '7372862' bytes ..`. Such a batch can never succeed. `configured` is the
/// store's configured limit. If it is not known, the store's default is used, but only if the rate in the message shows
/// that it was not raised.
pub(crate) fn over_burst(words: &Burst, said: &str, configured: Option<u32>) -> Option<u32> {
    let number = |before: &str| -> Option<u32> {
        let (_, rest) = said.split_once(before)?;
        let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    let burst = match configured {
        Some(burst) => burst,
        None => {
            let rate = number(words.rate).filter(|rate| *rate <= words.default_rate);
            rate.map(|_| words.default_burst)?
        }
    };
    number(words.total).filter(|total| *total > burst).map(|_| burst)
}

#[cfg(test)]
mod tests {
    use sluice_stores::{ALL, LOKI, MIMIR, OTLP};

    use super::*;

    #[test]
    fn each_wording_is_found_by_its_own_words() {
        for store in ALL {
            for words in ANY_STORES_WORDS.iter().chain(store.words) {
                let status = words.statuses.first().copied().unwrap_or(500);
                let found = meaning(store, status, words.text);
                assert_eq!(found, Some(words.means), "{}: {}", store.name, words.text);
            }
        }
        assert_eq!(meaning(&MIMIR, 429, "RATE_LIMITED: "), None, "another backend's words");
        assert_eq!(meaning(&OTLP, 500, "no org id"), None, "another status");
        assert_eq!(meaning(&OTLP, 400, "label \"no org id\""), None, "not where it must stand");
    }

    #[test]
    fn a_batch_is_over_a_burst_that_is_known() {
        let words = LOKI.words.iter().find_map(|words| match words.means {
            Meaning::Burst(words) => Some(words),
            _ => None,
        });
        let over_burst = |said: &str, burst| over_burst(words.unwrap(), said, burst);
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
