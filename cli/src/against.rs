//! `sluice simulate --against`: what another policy would change.

use serde::Serialize;

use crate::{
    places::{Place, Verdicts},
    simulate::{MOST_PLACES, Outcome, PlaceShown, Simulation},
};

/// What another policy would change for a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What differs apart from the records, in words.
    pub differs: Vec<String>,
    /// Records that go on now and would not.
    pub newly_lost: Moved,
    /// Records that do not go on now and would.
    pub newly_kept: Moved,
}

/// Some records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// How many.
    pub records: usize,
    /// Their first resources or series.
    pub places: Vec<PlaceShown>,
    /// How many more resources or series there are.
    pub more_places: usize,
}

/// Compares what two policies do with the same request.
#[must_use]
pub fn change(
    (now, before): (&Simulation, Option<&Verdicts>),
    (then, after): (&Simulation, Option<&Verdicts>),
) -> Change {
    let mut differs = Vec::new();
    let mut compare = |what: &str, now: Option<String>, then: Option<String>| {
        if now != then {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
            differs.push(format!("{what}: {} -> {}", or_none(now), or_none(then)));
        }
    };
    let namespace = |simulation: &Simulation| {
        simulation.sender.as_ref().map(|sender| format!("{} by {}", sender.namespace, sender.by))
    };
    compare("sender", namespace(now), namespace(then));
    compare("tenant", now.tenant.clone(), then.tenant.clone());
    let backend = |simulation: &Simulation| {
        let backend = simulation.backend.as_ref()?;
        Some(format!("{}{}", backend.cluster.as_deref().unwrap_or_default(), backend.path))
    };
    compare("backend", backend(now), backend(then));
    compare("refused", now.refused.clone(), then.refused.clone());
    let (kept_now, kept_then) = (kept(now, before), kept(then, after));
    // Without the records, nothing can be said about them: then both of them are refused.
    let Some(items) = before.or(after).map(|verdicts| &verdicts.items) else {
        return Change { differs, ..Change::default() };
    };
    let is_kept = |kept: &Option<Vec<bool>>, index: usize| {
        kept.as_ref().is_some_and(|kept| kept.get(index).copied().unwrap_or(false))
    };
    let moved = |from: &Option<Vec<bool>>, to: &Option<Vec<bool>>| {
        let those = |index: &usize| is_kept(from, *index) && !is_kept(to, *index);
        let records = (0..items.len()).filter(those).count();
        let places: Vec<Place> = items.by_resource((0..items.len()).filter(those));
        let more_places = places.len().saturating_sub(MOST_PLACES);
        let places = places.into_iter().take(MOST_PLACES).map(PlaceShown::from).collect();
        Moved { records, places, more_places }
    };
    Change {
        differs,
        newly_lost: moved(&kept_now, &kept_then),
        newly_kept: moved(&kept_then, &kept_now),
    }
}

/// For each record, whether it goes on; `None` if nothing does.
fn kept(simulation: &Simulation, verdicts: Option<&Verdicts>) -> Option<Vec<bool>> {
    if simulation.outcome == Outcome::Nothing || simulation.backend.is_none() {
        return None;
    }
    Some(verdicts?.dropped.iter().map(|dropped| !dropped).collect())
}
