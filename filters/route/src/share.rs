//! A share of the requests that stays the same.

use twox_hash::XxHash32;

/// A percentage of requests, chosen by the hash of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    percent: u32,
}

impl Share {
    /// A share of 1 to 99 percent; `None` for any other number.
    pub(crate) fn new(percent: u32) -> Option<Self> {
        (1..=99).contains(&percent).then_some(Self { percent })
    }

    /// Whether this key is in the share. It is chosen by the key's XXH32, which is the same in
    /// every worker, gateway and release, so a key that was in the share stays in it. A larger
    /// share contains every smaller one.
    pub(crate) fn has(self, key: &[u8]) -> bool {
        const SEED: u32 = 0;
        let hash = u64::from(XxHash32::oneshot(SEED, key));
        // A number under 100, as evenly distributed as 32 bits allow.
        (hash.wrapping_mul(100) >> 32) < u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The measured percentage of many keys that are in the share.
    fn measured(percent: u32, key: impl Fn(u32) -> Vec<u8>) -> f64 {
        const KEYS: u32 = 50_000;
        let share = Share::new(percent).unwrap();
        let inside = (0..KEYS).filter(|number| share.has(&key(*number))).count();
        100.0 * f64::from(u32::try_from(inside).unwrap()) / f64::from(KEYS)
    }

    #[test]
    fn none_and_all_are_no_share() {
        assert_eq!([0, 100, 101, u32::MAX].map(Share::new), [None; 4]);
    }

    /// If a share changed, the next release would send a tenant to another store.
    #[test]
    fn who_is_in_it_stays_in_it() {
        let share = Share::new(5).unwrap();
        let inside: Vec<_> =
            (0..100).map(|n| format!("team-{n}")).filter(|t| share.has(t.as_bytes())).collect();
        assert_eq!(inside, ["team-60", "team-77", "team-78", "team-93"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_as_large_as_it_says(percent in 1_u32..100, prefix in "[a-z!.*'()-]{0,40}") {
            let measured = measured(percent, |number| format!("{prefix}{number}").into_bytes());
            prop_assert!((measured - f64::from(percent)).abs() < 1.0, "{measured} of {percent}");
        }

        #[test]
        fn a_larger_share_has_what_a_smaller_has(key in any::<Vec<u8>>(), a in 1_u32..100, b in 1_u32..100) {
            let (small, large) = (Share::new(a.min(b)).unwrap(), Share::new(a.max(b)).unwrap());
            prop_assert!(!small.has(&key) || large.has(&key));
        }
    }
}
