package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// batch is what is sent: the same bytes for the same arguments, with a value in nearly every field of OTLP.
type batch struct {
	signal          string
	groups, without int
	nanos           int64
	records         int64
}

// lacks tells whether a group lacks source.name; such groups are spread evenly.
func (b *batch) lacks(group int) bool {
	return (group+1)*b.without/b.groups != group*b.without/b.groups
}

// now is the next record's time.
func (b *batch) now() pcommon.Timestamp {
	b.records++
	return pcommon.Timestamp(b.nanos + b.records)
}

func (b *batch) traceID() (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], 0xfeed)
	binary.BigEndian.PutUint64(id[8:], uint64(b.records))
	return id
}

func (b *batch) spanID() (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(b.records)<<8|1)
	return id
}

// resource fills the resource of a group; named says whether it gets source.name.
func (b *batch) resource(resource pcommon.Resource, group int, named bool) {
	attributes := resource.Attributes()
	attributes.PutStr("service.name", fmt.Sprintf("service-%d", group))
	if named {
		attributes.PutStr("source.name", fmt.Sprintf("collector-%d", group))
	}
	everyType(attributes, int64(group))
	resource.SetDroppedAttributesCount(1)
}

func scope(scope pcommon.InstrumentationScope, number int) {
	scope.SetName(fmt.Sprintf("library-%d", number))
	scope.SetVersion("1.2.3")
	scope.Attributes().PutStr("scope.kind", "test")
	scope.SetDroppedAttributesCount(2)
}

// everyType adds an attribute of each type that a value can have.
func everyType(attributes pcommon.Map, number int64) {
	attributes.PutStr("text", "grüße "+strings.Repeat("to a gate ", int(number%7)))
	attributes.PutBool("flag", number%2 == 0)
	attributes.PutInt("integer", -number-(1<<53))
	attributes.PutDouble("double", float64(number)+0.1)
	attributes.PutEmptyBytes("bytes").FromRaw([]byte{0, 0xff, byte(number)})
	list := attributes.PutEmptySlice("list")
	list.AppendEmpty().SetStr("first")
	list.AppendEmpty().SetInt(number)
	inner := attributes.PutEmptyMap("map").PutEmptyMap("inner")
	inner.PutStr("source.name", "nested, so it does not count")
}

const schema = "https://opentelemetry.io/schemas/1.37.0"

// logs are four records for each group, in two scopes.
func (b *batch) logs() plog.Logs {
	logs := plog.NewLogs()
	for group := range b.groups {
		resource := logs.ResourceLogs().AppendEmpty()
		b.resource(resource.Resource(), group, !b.lacks(group))
		resource.SetSchemaUrl(schema)
		for number := range 2 {
			scoped := resource.ScopeLogs().AppendEmpty()
			scope(scoped.Scope(), number)
			scoped.SetSchemaUrl(schema)
			b.log(scoped.LogRecords().AppendEmpty()).Body().SetStr(fmt.Sprintf("log %d", b.records))
			body := b.log(scoped.LogRecords().AppendEmpty()).Body().SetEmptyMap()
			body.PutInt("log", b.records)
			everyType(body, b.records)
		}
	}
	return logs
}

func (b *batch) log(record plog.LogRecord) plog.LogRecord {
	now := b.now()
	record.SetTimestamp(now)
	record.SetObservedTimestamp(now + 1)
	record.SetSeverityNumber(plog.SeverityNumberWarn)
	record.SetSeverityText("WARN")
	record.SetEventName("test.event")
	record.SetTraceID(b.traceID())
	record.SetSpanID(b.spanID())
	record.SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(true))
	record.SetDroppedAttributesCount(3)
	everyType(record.Attributes(), b.records)
	return record
}

// metrics are two resources with a metric of each kind, each with a data point for each group. Temporality is
// cumulative, because Mimir supports no other.
func (b *batch) metrics() pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	for number := range 2 {
		resource := metrics.ResourceMetrics().AppendEmpty()
		// For metrics, source.name on the resource does not count.
		b.resource(resource.Resource(), number, true)
		resource.SetSchemaUrl(schema)
		scoped := resource.ScopeMetrics().AppendEmpty()
		scope(scoped.Scope(), number)
		scoped.SetSchemaUrl(schema)

		gauge := metric(scoped, "gauge").SetEmptyGauge()
		sum := metric(scoped, "sum").SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		histogram := metric(scoped, "histogram").SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		exponential := metric(scoped, "exponential histogram").SetEmptyExponentialHistogram()
		exponential.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		summary := metric(scoped, "summary").SetEmptySummary()
		for group := range b.groups {
			b.number(gauge.DataPoints().AppendEmpty(), group)
			b.number(sum.DataPoints().AppendEmpty(), group)
			b.histogram(histogram.DataPoints().AppendEmpty(), group)
			b.exponential(exponential.DataPoints().AppendEmpty(), group)
			b.summary(summary.DataPoints().AppendEmpty(), group)
		}
	}
	return metrics
}

func metric(scoped pmetric.ScopeMetrics, kind string) pmetric.Metric {
	metric := scoped.Metrics().AppendEmpty()
	metric.SetName("test." + kind)
	metric.SetDescription("the " + kind)
	metric.SetUnit("By")
	metric.Metadata().PutStr("metadata", "of a "+kind)
	return metric
}

// dataPoint has the common methods of the five kinds of data points.
type dataPoint interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
}

func (b *batch) point(point dataPoint, group int) {
	point.SetStartTimestamp(pcommon.Timestamp(b.nanos))
	point.SetTimestamp(b.now())
	attributes := point.Attributes()
	attributes.PutInt("group", int64(group))
	if !b.lacks(group) {
		attributes.PutStr("source.name", fmt.Sprintf("collector-%d", group))
	}
}

func (b *batch) exemplar(exemplar pmetric.Exemplar) {
	exemplar.SetTimestamp(pcommon.Timestamp(b.nanos))
	exemplar.SetDoubleValue(0.5)
	exemplar.SetTraceID(b.traceID())
	exemplar.SetSpanID(b.spanID())
	exemplar.FilteredAttributes().PutStr("source.name", "an exemplar's, so it does not count")
}

func (b *batch) number(point pmetric.NumberDataPoint, group int) {
	b.point(point, group)
	if group%2 == 0 {
		point.SetIntValue(-b.records)
	} else {
		point.SetDoubleValue(float64(b.records) / 3)
	}
	b.exemplar(point.Exemplars().AppendEmpty())
}

func (b *batch) histogram(point pmetric.HistogramDataPoint, group int) {
	b.point(point, group)
	point.SetCount(6)
	point.SetSum(12.5)
	point.SetMin(0.25)
	point.SetMax(9)
	point.BucketCounts().FromRaw([]uint64{1, 2, 3})
	point.ExplicitBounds().FromRaw([]float64{1, 5})
	b.exemplar(point.Exemplars().AppendEmpty())
}

func (b *batch) exponential(point pmetric.ExponentialHistogramDataPoint, group int) {
	b.point(point, group)
	point.SetCount(7)
	point.SetSum(3.5)
	point.SetScale(-2)
	point.SetZeroCount(1)
	point.SetZeroThreshold(0.001)
	point.Positive().SetOffset(-3)
	point.Positive().BucketCounts().FromRaw([]uint64{1, 2, 0, 1})
	point.Negative().SetOffset(4)
	point.Negative().BucketCounts().FromRaw([]uint64{2})
	point.SetMin(-2)
	point.SetMax(2)
	b.exemplar(point.Exemplars().AppendEmpty())
}

func (b *batch) summary(point pmetric.SummaryDataPoint, group int) {
	b.point(point, group)
	point.SetCount(10)
	point.SetSum(55)
	for _, quantile := range []float64{0, 0.5, 0.99} {
		value := point.QuantileValues().AppendEmpty()
		value.SetQuantile(quantile)
		value.SetValue(quantile * 100)
	}
}

// traces are four spans for each group, in two scopes.
func (b *batch) traces() ptrace.Traces {
	traces := ptrace.NewTraces()
	for group := range b.groups {
		resource := traces.ResourceSpans().AppendEmpty()
		b.resource(resource.Resource(), group, !b.lacks(group))
		resource.SetSchemaUrl(schema)
		for number := range 2 {
			scoped := resource.ScopeSpans().AppendEmpty()
			scope(scoped.Scope(), number)
			scoped.SetSchemaUrl(schema)
			b.span(scoped.Spans().AppendEmpty(), ptrace.SpanKindServer)
			b.span(scoped.Spans().AppendEmpty(), ptrace.SpanKindClient)
		}
	}
	return traces
}

func (b *batch) span(span ptrace.Span, kind ptrace.SpanKind) {
	parent := b.spanID()
	span.SetStartTimestamp(b.now())
	span.SetEndTimestamp(pcommon.Timestamp(b.nanos + b.records + 1_000_000))
	span.SetName(fmt.Sprintf("span %d", b.records))
	span.SetKind(kind)
	span.SetTraceID(b.traceID())
	span.SetSpanID(b.spanID())
	span.SetParentSpanID(parent)
	span.SetFlags(0x101)
	span.TraceState().FromRaw("vendor=1")
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("not this time")
	everyType(span.Attributes(), b.records)
	event := span.Events().AppendEmpty()
	event.SetName("event")
	event.SetTimestamp(span.StartTimestamp() + 1)
	event.Attributes().PutStr("source.name", "an event's, so it does not count")
	link := span.Links().AppendEmpty()
	link.SetTraceID(b.traceID())
	link.SetSpanID(b.spanID())
	link.TraceState().FromRaw("vendor=2")
	link.Attributes().PutBool("linked", true)
	span.SetDroppedAttributesCount(1)
	span.SetDroppedEventsCount(2)
	span.SetDroppedLinksCount(3)
}

// profiles are one profile with one sample for each group.
func (b *batch) profiles() pprofile.Profiles {
	profiles := pprofile.NewProfiles()
	dictionary := profiles.Dictionary()
	dictionary.StringTable().Append("", "cpu", "nanoseconds")
	dictionary.StackTable().AppendEmpty()
	for group := range b.groups {
		resource := profiles.ResourceProfiles().AppendEmpty()
		b.resource(resource.Resource(), group, !b.lacks(group))
		resource.SetSchemaUrl(schema)
		scoped := resource.ScopeProfiles().AppendEmpty()
		scope(scoped.Scope(), group)
		profile := scoped.Profiles().AppendEmpty()
		profile.SetTime(b.now())
		profile.SetDurationNano(1_000_000_000)
		profile.SampleType().SetTypeStrindex(1)
		profile.SampleType().SetUnitStrindex(2)
		profile.Samples().AppendEmpty().Values().Append(b.records)
	}
	return profiles
}
