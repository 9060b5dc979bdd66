//! What a store means by its answers.

/// What a store means, if the status alone is not enough or is misleading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The request is over a limit, and stays so however often it is sent.
    TooLarge,
    /// The tenant is missing, or not one that the store accepts. The platform sets it, not the
    /// sender.
    Tenant,
    /// A rate limit is exceeded. A later retry may succeed.
    Throttled,
    /// As [`Self::Throttled`], unless the batch alone exceeds the burst limit.
    Burst(&'static Burst),
}

/// One wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The statuses with which it counts, or gRPC codes with the same meaning; any status if empty.
    pub statuses: &'static [u16],
    /// Whether the message must start with the words.
    pub begins: bool,
    /// The words.
    pub text: &'static str,
    /// What they mean.
    pub means: Meaning,
}

/// How to read in a store's words that a batch exceeds the burst limit of one tenant, so that it can never succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The words before the tenant's rate, in bytes per second.
    pub rate: &'static str,
    /// The words before the batch's size, in bytes.
    pub total: &'static str,
    /// The store's default rate, in bytes per second.
    pub default_rate: u32,
    /// The store's default burst limit, in bytes.
    pub default_burst: u32,
}

/// Words that any store may use, because they come from libraries that stores share. The first
/// matching row counts; a store's own rows come after these.
pub const ANY_STORES_WORDS: [Words; 7] = [
    // grpc-go, for a message that was not compressed, and for one that was. Loki sends it with 503,
    // and Tempo with 429, if a request exceeds the limit between their own components.
    Words::anywhere(&[], "received message larger than max", Meaning::TooLarge),
    Words::anywhere(&[], "received message after decompression larger than max", Meaning::TooLarge),
    // Go's `net/http`; Tempo sends it with 400.
    Words::anywhere(&[400], "http: request body too large", Meaning::TooLarge),
    // grafana/dskit, `tenant`; Tempo sends the first with 503.
    of_tenant("no org id"),
    of_tenant("multiple org IDs"),
    of_tenant("tenant ID "),
    of_tenant("too many tenant IDs"),
];

impl Words {
    /// Words that may be anywhere in the message.
    pub(crate) const fn anywhere(
        statuses: &'static [u16],
        text: &'static str,
        means: Meaning,
    ) -> Self {
        Self { statuses, begins: false, text, means }
    }
}

const fn of_tenant(text: &'static str) -> Words {
    Words { statuses: &[400, 422, 503], begins: true, text, means: Meaning::Tenant }
}
