//! The settings of an entry that say how its store is configured, and what is known about the
//! backend with them.

use serde::Deserialize;
use sluice_config::Place;
use sluice_stores::{BackendTraits, Defect, LabelLimit, Overflow, Precedence, Setting, Spelling};

use crate::config::BackendConfig;

/// The resource attributes that Loki turns into labels, as configured in its `otlp_config`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsConfig {
    /// Loki's `max_label_names_per_series`.
    max: Option<usize>,
    /// The attributes, the most important first.
    names: Option<Vec<String>>,
    /// What happens to the least important ones if there are too many. By default they move to the
    /// scopes; if Loki drops the attributes of scopes, they are dropped.
    overflow: Option<Overflow>,
}

/// What Loki does with the attributes of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) enum ScopeAttributes {
    /// Loki drops them, as configured in its `otlp_config`.
    Dropped,
    /// Loki writes them over those of the resource.
    Kept,
}

impl BackendConfig {
    /// What is known about the backend at `place`.
    pub(crate) fn traits(&self, place: &Place<'_>) -> BackendTraits {
        self.check_settings(place);
        let mut traits = BackendTraits::of(self.store);
        traits.labels = traits.labels.map(|labels| self.label_limit(labels));
        if self.takes_delta.unwrap_or(false) {
            traits.refuses = traits.refuses.without(Defect::Temporality);
        }
        traits.refuses.trace_over = self.max_trace_bytes;
        traits.refuses.keeps_names =
            self.store.may_keep_names && self.spelling == Some(Spelling::Exact);
        if self.drops_scope_attributes() {
            traits.precedence = Precedence::Resource;
        }
        traits.spelling = self.spelling.unwrap_or(traits.spelling);
        traits.precedence = self.precedence.unwrap_or(traits.precedence);
        traits
    }

    /// Adds a problem for each setting that has no meaning for the store, because it is probably a
    /// mistake.
    fn check_settings(&self, place: &Place<'_>) {
        let settings = [
            (Setting::Labels, self.labels.is_some()),
            (Setting::ScopeAttributes, self.scope_attributes.is_some()),
            (Setting::BurstBytes, self.burst_bytes.is_some()),
            (Setting::MaxTraceBytes, self.max_trace_bytes.is_some()),
            (Setting::TakesDelta, self.takes_delta.is_some()),
        ];
        for (setting, is_set) in settings {
            if is_set && !self.store.settings.contains(&setting) {
                let stores: Vec<_> = setting.stores().map(|store| store.name).collect();
                let message = format!("supported only for {}", stores.join(", "));
                place.at(setting.key()).add(message);
            }
        }
        if self.scope_attributes.is_some() && self.precedence.is_some() {
            let message = "precedence already decides about scope attributes: set only one of \
                           scopeAttributes and precedence";
            place.at("scopeAttributes").add(message);
        }
        if self.drops_scope_attributes()
            && self.labels.as_ref().is_some_and(|labels| labels.overflow == Some(Overflow::Move))
        {
            let message = "labels would be moved to scopes, whose attributes are dropped: use drop";
            place.at("labels").at("overflow").add(message);
        }
        self.check_numbers(place);
    }

    /// Adds a problem for each limit with which nothing would be stored.
    fn check_numbers(&self, place: &Place<'_>) {
        if self.max_trace_bytes == Some(0) {
            let message = "must be greater than 0: use Tempo's max_bytes_per_trace";
            place.at("maxTraceBytes").add(message);
        }
        if self.burst_bytes == Some(0) {
            let message = "must be greater than 0: use Loki's ingestion_burst_size_mb, in bytes";
            place.at("burstBytes").add(message);
        }
        if self.labels.as_ref().is_some_and(|labels| labels.max == Some(0)) {
            let message = "must be at least 1, because service_name is always a label";
            place.at("labels").at("max").add(message);
        }
        if self
            .labels
            .as_ref()
            .is_some_and(|labels| labels.names.as_ref().is_some_and(Vec::is_empty))
        {
            let message = "empty list: add at least one of Loki's index labels, or remove names";
            place.at("labels").at("names").add(message);
        }
    }

    fn drops_scope_attributes(&self) -> bool {
        self.scope_attributes == Some(ScopeAttributes::Dropped)
    }

    /// The store's limit with the settings of this entry.
    fn label_limit(&self, own: LabelLimit) -> LabelLimit {
        let labels = self.labels.as_ref();
        LabelLimit {
            max: labels.and_then(|labels| labels.max).unwrap_or(own.max),
            names: labels.and_then(|labels| labels.names.clone()).unwrap_or(own.names),
            overflow: match labels.and_then(|labels| labels.overflow) {
                Some(overflow) => overflow,
                None if self.drops_scope_attributes() => Overflow::Drop,
                None => own.overflow,
            },
        }
    }
}
