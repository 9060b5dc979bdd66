//! Checks a request's records against the rules.

use std::rc::Rc;

use sluice_otlp::{
    AnyValue, AttributeEdits, Attributes, Descend, FirstBytes, HasAttributes, Interest, Metric,
    MetricKind, Parts, Put, Record, RecordPolicy, Request, Signal, splice_export,
};
use sluice_remote_write::{self as remote_write, Series, WriteRequest};
use sluice_senders::Admitted;
use sluice_stores::{Defect, Element, Outcome, Remedy};
use sluice_wire::{Edits, Malformed, OverLimit, Spliced, Unreadable};

use crate::{
    Fate, Level, OnViolation, Reason, RuleSet, Violation, Violations,
    asked::Asked,
    labels::Labels,
    rule::{Rule, SignalRules},
    series::LabelsAsAttributes,
    stamp::Stamps,
    traces::Traces,
    unstorable::Unstorable,
    violation::{Example, excerpt},
};

/// What the rules find in a message. This does not prove that the rules were applied for the
/// message's sender; [`Checked`](crate::Checked) does.
#[derive(Clone, Debug)]
pub struct Findings {
    verdict: Verdict,
    edits: Edits,
}

/// The result for a request: what is kept, and what broke the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No record is kept.
    AllDropped(Violations),
    /// The request has records, and some or all of them are kept.
    Kept(Option<Violations>),
    /// The request had no records.
    Nothing(Option<Violations>),
}

/// Why a request is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The request cannot be read, or exceeds a limit.
    Unreadable(Unreadable),
    /// The request breaks a rule for which whole requests are refused.
    Refused(Box<Violations>),
}

impl From<Unreadable> for Unfit {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<Malformed> for Unfit {
    fn from(malformed: Malformed) -> Self {
        Self::Unreadable(malformed.into())
    }
}

impl From<OverLimit> for Unfit {
    fn from(over: OverLimit) -> Self {
        Self::Unreadable(over.into())
    }
}

impl Findings {
    /// The result for the request.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The result, and the edits that the message needs for it.
    #[must_use]
    pub fn into_parts(self) -> (Verdict, Edits) {
        (self.verdict, self.edits)
    }
}

impl RuleSet {
    /// Checks an export request from `sender`, which is `None` only if there is no `senders`
    /// section.
    ///
    /// # Errors
    /// [`Unfit`] if something that the rules have to read cannot be read, or breaks a rule for
    /// which requests are refused.
    pub fn check(
        &self,
        request: &Request<'_>,
        sender: Option<&Admitted>,
    ) -> Result<Findings, Unfit> {
        let rules = self.of(request.signal);
        let mut policy = Check::of_export(rules, request, sender);
        let mut request = *request;
        if let Some(max) = rules.unstorable.as_ref().and_then(|looks| looks.trace_over) {
            policy.traces = Traces::bounding(request.message.len());
            splice_export(&request, &mut policy)?;
            if policy.traces.may_exceed(max) {
                policy.traces = Traces::weighing(&request.limits);
                splice_export(&request, &mut policy)?;
            }
            (policy.traces, request.limits.room) =
                policy.traces.weighed(max, request.limits.room)?;
        }
        let spliced = splice_export(&request, &mut policy)?;
        Ok(policy.findings(spliced))
    }

    /// Checks a write request from `sender`, which is `None` only if there is no `senders` section.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_series(
        &self,
        request: &WriteRequest<'_>,
        sender: Option<&Admitted>,
    ) -> Result<Findings, Unfit> {
        let stamps = Stamps::labels(&self.series.stamps, sender);
        let mut policy = Check::new(&self.series, Signal::Metrics, Level::Series, stamps, sender);
        let spliced = remote_write::splice_series(request, &mut policy)?;
        Ok(policy.findings(spliced))
    }
}

/// The check of one request.
struct Check<'r, 'a> {
    signal: Signal,
    rules: &'r SignalRules,
    at_resource: Asked<'r>,
    at_scope: Asked<'r>,
    at_record: Asked<'r>,
    /// How keys of records begin that a rule or the backend makes the gate look at.
    first_bytes: FirstBytes,
    stamps: Stamps<'r>,
    /// How many of the sender's own attributes may become labels.
    room: usize,
    /// The current resource.
    resource: Option<Attributes<'a>>,
    /// The current scope.
    scope: Option<Attributes<'a>>,
    /// The current series.
    series: Option<Series<'a>>,
    /// The resource's attributes that are to be moved to its scopes.
    moved: Vec<&'a [u8]>,
    /// The reason for the latest drop.
    dropped_for: Option<Broken>,
    /// The rules in audit mode that the current resource and scope break.
    watched_at_resource: Vec<Broken>,
    watched_at_scope: Vec<Broken>,
    violations: Vec<(Broken, Violation)>,
    example: Option<Example>,
    traces: Traces,
    /// Whether to cut odd parts out of the latest record.
    cuts: bool,
}

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A rule, by its index in the list of all rules.
    Rule { rule: usize, reason: Reason, at: Level },
    /// A limit of what the backend can store.
    Unstorable(Defect),
}

impl<'r, 'a> Check<'r, 'a> {
    fn of_export(rules: &'r SignalRules, request: &Request<'_>, sender: Option<&Admitted>) -> Self {
        let stamps = Stamps::new(&rules.stamps, sender, request.format);
        Self::new(rules, request.signal, Level::Record, stamps, sender)
    }

    /// `records` is the level of the rules that check each record.
    fn new(
        rules: &'r SignalRules,
        signal: Signal,
        records: Level,
        stamps: Stamps<'r>,
        sender: Option<&Admitted>,
    ) -> Self {
        let asked = |level| Asked::at(level, rules, sender);
        let at_record = asked(records);
        let mut first_bytes = FirstBytes::UNUSUAL;
        at_record.begin_with(&mut first_bytes);
        let room = rules.labels.as_ref().map_or(0, |labels| labels.room_beside(&stamps));
        Self {
            signal,
            rules,
            at_resource: asked(Level::Resource),
            at_scope: asked(Level::Scope),
            at_record,
            first_bytes,
            stamps,
            room,
            resource: None,
            scope: None,
            series: None,
            moved: Vec::new(),
            dropped_for: None,
            watched_at_resource: Vec::new(),
            watched_at_scope: Vec::new(),
            violations: Vec::new(),
            example: None,
            traces: Traces::Any,
            cuts: false,
        }
    }

    fn violations(&mut self) -> Option<Violations> {
        let found = std::mem::take(&mut self.violations);
        let by_rule: Vec<_> = found.into_iter().map(|(_, violation)| violation).collect();
        let example = self.example.take();
        (!by_rule.is_empty()).then_some(Violations { signal: self.signal, by_rule, example })
    }

    fn findings(mut self, spliced: Spliced) -> Findings {
        let verdict = match (spliced.kept, spliced.dropped, self.violations()) {
            (false, 1.., Some(violations)) => Verdict::AllDropped(violations),
            // Only series without samples.
            (false, _, Some(violations)) if violations.drops_series() => {
                Verdict::AllDropped(violations)
            }
            (false, _, violations) => Verdict::Nothing(violations),
            (true, _, violations) => Verdict::Kept(violations),
        };
        Findings { verdict, edits: spliced.edits }
    }

    const fn asked(&mut self, level: Level) -> &mut Asked<'r> {
        match level {
            Level::Resource => &mut self.at_resource,
            Level::Scope => &mut self.at_scope,
            Level::Record | Level::Series => &mut self.at_record,
        }
    }

    #[inline]
    const fn unstorable(&self) -> Option<&'r Unstorable> {
        self.rules.unstorable.as_ref()
    }

    /// Whether the backend requires a check of each record.
    fn looks_at_records(&self) -> bool {
        self.unstorable().is_some_and(Unstorable::looks_at_records)
    }

    /// Whether a rule checks data points. Data points of an unknown kind could not be checked.
    fn guards_points(&self) -> bool {
        self.signal == Signal::Metrics && !self.at_record.is_empty()
    }

    /// Checks attributes against the rules of a level. Returns whether they pass; broken rules in
    /// audit mode are in [`Asked::watched`] afterwards.
    #[inline(always)]
    fn passes(&mut self, attributes: &impl HasAttributes<'a>, level: Level) -> Result<bool, Unfit> {
        if self.asked(level).is_empty() {
            return Ok(true);
        }
        let broken = self.asked(level).broken_by(attributes)?;
        self.settle_rule(broken, level)
    }

    /// Decides what happens to the records of attributes that have broken a rule. Returns whether they pass.
    #[inline(always)]
    fn settle_rule(
        &mut self,
        broken: Option<(usize, Reason)>,
        level: Level,
    ) -> Result<bool, Unfit> {
        let Some((rule, reason)) = broken else { return Ok(true) };
        let on_violation = self.rules.required.get(rule).map(|rule| rule.on_violation);
        let broken = Broken::Rule { rule, reason, at: level };
        self.settle(broken, on_violation.unwrap_or_default(), 1)
    }

    /// Decides what happens to records that broke something. Returns whether they pass.
    #[inline(never)]
    fn settle(
        &mut self,
        broken: Broken,
        on_violation: OnViolation,
        records: u64,
    ) -> Result<bool, Unfit> {
        match on_violation {
            OnViolation::Audit => {
                self.add(broken, Fate::Passed, records);
                Ok(true)
            }
            OnViolation::Drop => {
                self.dropped_for = Some(broken);
                Ok(false)
            }
            OnViolation::Refuse => {
                self.violations.clear();
                self.example = None;
                self.add(broken, Fate::Refused, 1);
                let violations = self.violations();
                violations.map_or(Ok(false), |violations| Err(Unfit::Refused(Box::new(violations))))
            }
        }
    }

    /// Takes the rules in audit mode that the attributes of the latest check broke, at this level.
    fn take_watched(&mut self, level: Level) -> Vec<Broken> {
        let watched = std::mem::take(&mut self.asked(level).watched);
        let broken = |(rule, reason)| Broken::Rule { rule, reason, at: level };
        watched.into_iter().map(broken).collect()
    }

    fn add(&mut self, broken: Broken, fate: Fate, records: u64) {
        let mut known = self.violations.iter_mut();
        if let Some((_, same)) = known.find(|(known, v)| *known == broken && v.fate == fate) {
            same.records = same.records.saturating_add(records);
            return;
        }
        let (attribute, level, reason) = match broken {
            Broken::Unstorable(defect) => (None, Level::Record, Reason::Unstorable(defect)),
            Broken::Rule { rule, reason, .. } => {
                let Some(rule) = self.rules.required.get(rule) else { return };
                (Some(rule.name.as_str()), rule.level, reason)
            }
        };
        let attribute = attribute.map(str::to_owned);
        let detail = self.detail(broken);
        if self.violations.is_empty() {
            self.example = self.example();
        }
        let violation = Violation { attribute, level, reason, fate, detail, records };
        self.violations.push((broken, violation));
    }

    fn detail(&self, broken: Broken) -> Option<String> {
        let backend = self.rules.backend;
        match broken {
            Broken::Rule { rule, reason: Reason::Value, at } => match at {
                Level::Resource => self.at_resource.expected(rule),
                Level::Scope => self.at_scope.expected(rule),
                Level::Record | Level::Series => self.at_record.expected(rule),
            },
            Broken::Rule { reason: Reason::Overridden, at, .. } => {
                Some(format!("is overridden by one on the {}", at.owner(self.signal)))
            }
            Broken::Rule { rule, reason: Reason::Missing, .. } => {
                let rule = self.rules.required.get(rule)?;
                let (found, looks) = (self.found_above(rule)?, rule.level);
                let (found, looks) = (found.owner(self.signal), looks.owner(self.signal));
                Some(format!("is missing (it is on the {found}, but required on each {looks})"))
            }
            Broken::Rule { .. } => None,
            Broken::Unstorable(Defect::Labels) => self.rules.labels.as_ref().map(|labels| {
                format!("{backend} accepts only {} labels", labels.most().saturating_add(1))
            }),
            Broken::Unstorable(defect) => {
                let outcome = self.unstorable().and_then(|looks| looks.outcome(defect));
                let clause = defect.clause();
                Some(match outcome {
                    Some(Outcome::FailsAnswer) => format!(
                        "{clause}; {backend} would store the rest but answer the whole batch with an error"
                    ),
                    Some(Outcome::Loses) => {
                        format!("{clause}; {backend} would discard it silently")
                    }
                    Some(Outcome::LosesRecords) => {
                        format!("{clause}; {backend} would discard all its records silently")
                    }
                    Some(Outcome::RefusesBatch) => {
                        format!("{clause}; {backend} would reject the whole batch")
                    }
                    Some(Outcome::RefusesBatchBefore(release)) => {
                        format!("{clause}; {backend} before {release} would reject the whole batch")
                    }
                    None => format!("{clause}, so its data points cannot be checked"),
                })
            }
        }
    }

    /// Where the sender has put an attribute that is missing at its rule's level: on the scope or the
    /// resource at hand, as every SDK does with the attributes of its resource.
    fn found_above(&self, rule: &Rule) -> Option<Level> {
        let above: &[_] = match rule.level {
            Level::Record => &[(Level::Scope, &self.scope), (Level::Resource, &self.resource)],
            Level::Scope => &[(Level::Resource, &self.resource)],
            Level::Resource | Level::Series => &[],
        };
        let found = above.iter().find(|(_, attributes)| {
            let Some(mut attributes) = (*attributes).clone() else { return false };
            matches!(attributes.next_where(|key| rule.name.is_label(key)), Ok(Some(_)))
        });
        found.map(|(level, _)| *level)
    }

    /// The `service.name` of the resource or the name of the series, if it has one that can be
    /// read.
    fn example(&self) -> Option<Example> {
        if let Some(series) = &self.series {
            return Some(Example::Metric(excerpt(series.metric_name()?)));
        }
        let mut attributes = self.resource.clone()?;
        let named = attributes.next_where(|key| key == b"service.name").ok()??;
        match named.value() {
            Ok(AnyValue::String(name)) => Some(Example::Service(excerpt(&name))),
            _ => None,
        }
    }

    /// The defect of a metric that the backend refuses.
    fn unstorable_metric(metric: &Metric<'_>, unstorable: &Unstorable) -> Option<Defect> {
        const CUMULATIVE: u64 = 2;
        let looks = |defect| unstorable.find(Element::Metric, defect).is_some();
        let has_temporality = match metric.kind {
            Some(MetricKind::ExponentialHistogram | MetricKind::Histogram | MetricKind::Sum) => {
                true
            }
            Some(MetricKind::Gauge | MetricKind::Summary) | None => false,
        };
        let found = if metric.is_unknown {
            Defect::UnknownKind
        } else if metric.points == 0 && looks(Defect::NoDataPoints) {
            Defect::NoDataPoints
        } else if has_temporality && metric.temporality != CUMULATIVE && looks(Defect::Temporality)
        {
            Defect::Temporality
        } else if metric.kind.is_some() && unstorable.is_odd_metric_name(&metric.name) {
            Defect::MetricName
        } else {
            return None;
        };
        looks(found).then_some(found)
    }

    /// Whether a record is ordinary; [`Asked::broken`] then says what it breaks, and it has nothing that the backend
    /// refuses.
    #[inline(always)]
    fn is_ordinary(&mut self, record: &Record<'_, 'a>) -> bool {
        if !self.traces.is_any() {
            return false;
        }
        let Self { rules, at_record, first_bytes, .. } = self;
        at_record.start();
        let is_odd = |key: &[u8]| {
            let looks = rules.unstorable.as_ref().filter(|looks| looks.record_names);
            looks.is_some_and(|looks| looks.is_odd_name(key))
        };
        record.is_ordinary(first_bytes, |key, text| !is_odd(key) && at_record.find_in(key, text))
    }

    /// Checks a record of any form. Returns whether it is kept.
    #[inline(never)]
    fn unusual_record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unfit> {
        if self.traces.is_weighing() {
            self.traces.weigh(record)?;
            return Ok(true);
        }
        if !self.passes(record, Level::Record)? {
            return Ok(false);
        }
        if let Some(looks) = self.unstorable() {
            if let Some(defect) = self.unstorable_record(record, looks)?
                && !self.settle(Broken::Unstorable(defect), looks.on_violation, 1)?
            {
                return Ok(false);
            }
            let is_odd = |key: &[u8]| looks.record_names && looks.is_odd_name(key);
            if looks.parts && record.has_odd_parts(is_odd)? && !self.settle_parts(record, looks)? {
                return Ok(false);
            }
        }
        Ok(self.settle_watched(1))
    }

    /// Counts the records at hand for each rule in audit mode that they break. They are kept.
    #[inline]
    fn settle_watched(&mut self, records: u64) -> bool {
        if !self.at_record.watched.is_empty() {
            for broken in self.take_watched(Level::Record) {
                self.add(broken, Fate::Passed, records);
            }
        }
        true
    }

    /// The defect of a record that the backend refuses.
    fn unstorable_record(
        &self,
        record: &Record<'_, 'a>,
        looks: &Unstorable,
    ) -> Result<Option<Defect>, Unreadable> {
        if looks.span_ids && !record.has_valid_ids(looks.accepts_unset_ids)? {
            return Ok(Some(Defect::InvalidId));
        }
        if looks.scale && record.scale()?.is_some_and(|scale| scale < Defect::MIN_SCALE) {
            return Ok(Some(Defect::Scale));
        }
        if self.traces.is_too_large(record)? {
            return Ok(Some(Defect::TraceTooLarge));
        }
        Ok(None)
    }

    /// Decides what happens to a record with odd parts. Returns whether it is kept.
    #[inline(never)]
    fn settle_parts(&mut self, record: &Record<'_, 'a>, looks: &Unstorable) -> Result<bool, Unfit> {
        let is_odd = |key: &[u8]| looks.record_names && looks.is_odd_name(key);
        let Parts { attributes, exemplars, ids } = record.odd_parts(is_odd)?;
        for (element, defect, parts) in [
            (Element::Record, Defect::AttributeName, attributes),
            (Element::Record, Defect::InvalidId, ids),
            (Element::Exemplar, Defect::Exemplar, exemplars),
        ] {
            match looks
                .find(element, defect)
                .filter(|_| parts > 0)
                .map(|refusal| refusal.site.remedy)
            {
                Some(Remedy::Cut) => self.cuts |= self.settle_cut(defect, parts, looks)?,
                Some(Remedy::Drop)
                    if !self.settle(Broken::Unstorable(defect), looks.on_violation, 1)? =>
                {
                    return Ok(false);
                }
                // In audit mode the record is kept, and so is a record with which the backend has
                // no problem.
                Some(Remedy::Drop) | None => {}
            }
        }
        Ok(true)
    }

    /// Decides what happens to parts that can be cut. Returns whether they are cut.
    fn settle_cut(
        &mut self,
        defect: Defect,
        parts: u64,
        looks: &Unstorable,
    ) -> Result<bool, Unfit> {
        if parts == 0 {
            return Ok(false);
        }
        let broken = Broken::Unstorable(defect);
        match looks.on_violation {
            OnViolation::Audit => self.add(broken, Fate::Uncut, parts),
            OnViolation::Drop => self.add(broken, Fate::Cut, parts),
            OnViolation::Refuse => {
                self.settle(broken, OnViolation::Refuse, parts)?;
            }
        }
        Ok(looks.on_violation == OnViolation::Drop)
    }

    /// Cuts attributes of a resource or a scope whose names the backend cannot turn into labels.
    fn cut_names(
        &mut self,
        attributes: Attributes<'a>,
        looks: &Unstorable,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<(), Unfit> {
        let mut odd = attributes.clone();
        let mut count = 0_u64;
        while odd.next_where(|key| looks.is_odd_name(key))?.is_some() {
            count = count.saturating_add(1);
        }
        if self.settle_cut(Defect::AttributeName, count, looks)? {
            let mut odd = attributes;
            while let Some(attribute) = odd.next_where(|key| looks.is_odd_name(key))? {
                attribute_edits.take(&attribute).map_err(Unreadable::from)?;
            }
        }
        Ok(())
    }

    /// Cuts index labels with values that the backend cannot store; or drops the records if a rule
    /// requires one of these labels. Returns whether any was cut, and whether the records are kept.
    fn cut_values(
        &mut self,
        attributes: &Attributes<'a>,
        looks: &Unstorable,
        labels: &Labels,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<(bool, bool), Unfit> {
        let (mut count, mut required) = (0_u64, false);
        labels.each_odd(attributes.clone(), &self.stamps, |attribute| {
            count = count.saturating_add(1);
            required |= self.rules.requires(attribute.key());
            Ok(())
        })?;
        if required {
            let broken = Broken::Unstorable(Defect::LabelValue);
            return Ok((false, self.settle(broken, looks.on_violation, 1)?));
        }
        let cut = self.settle_cut(Defect::LabelValue, count, looks)?;
        if cut {
            labels
                .each_odd(attributes.clone(), &self.stamps, |odd| Ok(attribute_edits.take(odd)?))?;
        }
        Ok((cut, true))
    }

    /// What happens to a metric of an unknown kind that only rules forbid: the strictest action of
    /// these rules.
    fn on_unchecked(&self) -> OnViolation {
        let asked = |on_violation| self.at_record.asks(on_violation);
        if asked(OnViolation::Refuse) {
            OnViolation::Refuse
        } else if asked(OnViolation::Drop) {
            OnViolation::Drop
        } else {
            OnViolation::Audit
        }
    }
}

impl<'a> RecordPolicy<'a> for Check<'_, 'a> {
    type Error = Unfit;

    fn interest(&self) -> Interest {
        let moves = self.rules.labels.as_ref().is_some_and(|labels| labels.moves());
        let looks = self.unstorable();
        Interest {
            scopes: !self.at_scope.is_empty()
                || !self.stamps.is_empty()
                || moves
                || looks.is_some_and(|looks| looks.scope_names)
                || self.traces.is_looking(),
            metrics: looks.is_some_and(|looks| looks.metrics) || self.guards_points(),
        }
    }

    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unfit> {
        if self.traces.is_looking() {
            self.traces.enter_resource(&attributes, self.stamps.bytes());
            return Ok(Descend::Inspect);
        }
        self.resource = Some(attributes.clone());
        self.scope = None;
        self.moved.clear();
        if !self.passes(&attributes, Level::Resource)? {
            return Ok(Descend::Drop);
        }
        self.watched_at_resource = self.take_watched(Level::Resource);
        if !self.stamps.is_empty() {
            self.stamps.set(attributes.clone(), attribute_edits)?;
        }
        let looks = self.unstorable();
        if let Some(looks) = looks.filter(|looks| looks.resource_names) {
            self.cut_names(attributes.clone(), looks, attribute_edits)?;
        }
        if let Some(labels) = &self.rules.labels {
            let mut no_odd = false;
            if let Some(looks) = looks.filter(|looks| looks.label_values) {
                let (cut, stay) = self.cut_values(&attributes, looks, labels, attribute_edits)?;
                if !stay {
                    return Ok(Descend::Drop);
                }
                no_odd = cut;
            }
            let overflown =
                labels.fit(attributes, &self.stamps, self.room, no_odd, attribute_edits)?;
            self.moved = overflown.moved;
            if overflown.dropped > 0 {
                self.add(Broken::Unstorable(Defect::Labels), Fate::Dropped, overflown.dropped);
            }
        }
        let looks = !self.at_scope.is_empty()
            || !self.at_record.is_empty()
            || !self.stamps.is_empty()
            || !self.moved.is_empty()
            || self.looks_at_records();
        Ok(match (looks, self.watched_at_resource.is_empty()) {
            (true, _) => Descend::Inspect,
            (false, false) => Descend::CountOnly,
            (false, true) => Descend::KeepAll,
        })
    }

    fn left_resource(&mut self, kept: u64) {
        for broken in std::mem::take(&mut self.watched_at_resource) {
            if kept > 0 {
                self.add(broken, Fate::Passed, kept);
            }
        }
    }

    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unfit> {
        if self.traces.is_looking() {
            self.traces.enter_scope(&attributes);
            return Ok(if self.traces.is_weighing() { Descend::Inspect } else { Descend::KeepAll });
        }
        if !self.passes(&attributes, Level::Scope)? {
            return Ok(Descend::Drop);
        }
        self.watched_at_scope = self.take_watched(Level::Scope);
        self.scope = Some(attributes.clone());
        if let Some(looks) = self.unstorable().filter(|looks| looks.scope_names) {
            self.cut_names(attributes.clone(), looks, attribute_edits)?;
        }
        if !self.stamps.is_empty() {
            self.stamps.clear(attributes, attribute_edits)?;
        }
        for attribute in &self.moved {
            attribute_edits.put(Put::Moved(attribute)).map_err(Unreadable::from)?;
        }
        let looks = !self.at_record.is_empty() || self.looks_at_records();
        let counts = !(self.watched_at_scope.is_empty() && self.watched_at_resource.is_empty());
        Ok(match (looks, counts) {
            (true, _) => Descend::Inspect,
            (false, true) => Descend::CountOnly,
            (false, false) => Descend::KeepAll,
        })
    }

    fn left_scope(&mut self, kept: u64) {
        for broken in std::mem::take(&mut self.watched_at_scope) {
            if kept > 0 {
                self.add(broken, Fate::Passed, kept);
            }
        }
    }

    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Unfit> {
        let records = metric.points.max(1);
        if let Some(looks) = self.unstorable()
            && let Some(defect) = Self::unstorable_metric(metric, looks)
        {
            return self.settle(Broken::Unstorable(defect), looks.on_violation, records);
        }
        if metric.is_unknown && self.guards_points() {
            let broken = Broken::Unstorable(Defect::UnknownKind);
            return self.settle(broken, self.on_unchecked(), records);
        }
        Ok(true)
    }

    #[inline(always)]
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unfit> {
        if !self.is_ordinary(record) {
            return self.unusual_record(record);
        }
        if self.at_record.is_empty() {
            return Ok(true);
        }
        let broken = self.at_record.broken();
        Ok(self.settle_rule(broken, Level::Record)? && self.settle_watched(1))
    }

    #[inline]
    fn cuts(&mut self) -> bool {
        std::mem::take(&mut self.cuts)
    }

    fn is_odd(&self, key: &[u8]) -> bool {
        self.unstorable().is_some_and(|looks| looks.cuts_names && looks.is_odd_name(key))
    }

    fn dropped(&mut self, records: u64) {
        let Some(broken) = self.dropped_for else { return };
        let records = match broken {
            // A metric without data points has no records that could be lost.
            Broken::Unstorable(Defect::NoDataPoints) => 1,
            _ => records,
        };
        self.add(broken, Fate::Dropped, records);
    }
}

impl<'a> remote_write::SeriesPolicy<'a> for Check<'_, 'a> {
    type Error = Unfit;

    #[inline(always)]
    fn series(&mut self, series: &Series<'a>) -> Result<bool, Unfit> {
        self.series = Some(*series);
        if !self.passes(&LabelsAsAttributes(series), Level::Series)? {
            return Ok(false);
        }
        if !self.at_record.watched.is_empty() {
            let samples = series.samples()?;
            for broken in self.take_watched(Level::Series) {
                self.add(broken, Fate::Passed, samples);
            }
        }
        Ok(true)
    }

    fn dropped(&mut self, samples: u64) {
        RecordPolicy::dropped(self, samples);
    }

    fn relabels(&self) -> bool {
        !self.stamps.is_empty()
    }

    fn takes(&self, name: &[u8]) -> bool {
        self.stamps.is_label(name)
    }

    fn puts(&self) -> &[(&str, Rc<[u8]>)] {
        self.stamps.written()
    }
}

#[cfg(test)]
mod tests;
