//! What a store means by what it answers.

/// What a store means, where its status alone says too little, or something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The request is over a limit, and stays so however often it is sent.
    TooLarge,
    /// The tenant is none, or none that the store accepts: the platform's to set.
    Tenant,
    /// Over a rate that another moment may be under.
    Throttled,
    /// The same, unless the batch alone is over what may come at once.
    Burst(&'static Burst),
}

/// One wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The statuses that it is heeded with, or what means the same over gRPC; any if there are none.
    pub statuses: &'static [u16],
    /// Whether the message begins with it.
    pub begins: bool,
    /// The words.
    pub text: &'static str,
    /// What they mean.
    pub means: Meaning,
}

/// How a store's words tell that a batch is over what it accepts of one tenant at once, so that it never
/// succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// What stands in front of the tenant's rate, in bytes a second.
    pub rate: &'static str,
    /// What stands in front of the bytes of the batch.
    pub total: &'static str,
    /// The rate unless the store is told otherwise, in bytes a second.
    pub default_rate: u32,
    /// The most that may come at once unless the store is told otherwise, in bytes.
    pub default_burst: u32,
}

/// What any store may say, by the libraries that stores share. The first row that fits counts, and a
/// store's own rows come after these.
pub const ANY_STORES_WORDS: [Words; 7] = [
    // grpc-go, of a message that was not compressed, and of one that was. Loki says it with 503, and
    // Tempo with 429, of what is over the limit between their own parts.
    Words::anywhere(&[], "received message larger than max", Meaning::TooLarge),
    Words::anywhere(&[], "received message after decompression larger than max", Meaning::TooLarge),
    // Go's `net/http`; Tempo says it with 400.
    Words::anywhere(&[400], "http: request body too large", Meaning::TooLarge),
    // grafana/dskit, `tenant`; Tempo says the first with 503.
    of_tenant("no org id"),
    of_tenant("multiple org IDs"),
    of_tenant("tenant ID "),
    of_tenant("too many tenant IDs"),
];

impl Words {
    /// Words anywhere in the message.
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
