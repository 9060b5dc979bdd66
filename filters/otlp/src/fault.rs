//! The faults of OTLP and of JSON, in addition to those of the protobuf wire format.

use sluice_wire::Fault;

/// Something other than white space after the object.
pub(crate) const BEHIND: Fault = Fault::new("unexpected data after the JSON object");
/// A control character in a string.
pub(crate) const CONTROL: Fault = Fault::new("control character in a JSON string");
/// The text ends inside a value.
pub(crate) const CUT_OFF: Fault = Fault::new("JSON ends inside a value");
/// A deprecated OTLP field, which backends may still read in place of another.
pub(crate) const DEPRECATED: Fault = Fault::new("deprecated OTLP field");
/// An `aggregationTemporality` given by name. OTLP/JSON allows only numbers (OTLP specification
/// 1.11, "JSON Protobuf Encoding").
pub(crate) const ENUM_NAME: Fault = Fault::new(
    "aggregationTemporality must be a number: write 1 for AGGREGATION_TEMPORALITY_DELTA, 2 for \
     AGGREGATION_TEMPORALITY_CUMULATIVE",
);
/// An escape sequence that JSON does not allow.
pub(crate) const ESCAPE: Fault = Fault::new("invalid escape in a JSON string");
/// A member with an empty name. Backends read it as the end of its object.
pub(crate) const NAMELESS: Fault = Fault::new("JSON member without a name");
/// The text is not an object.
pub(crate) const NO_OBJECT: Fault = Fault::new("expected a JSON object");
/// A reference to a string that is not in the dictionary of the profiles.
pub(crate) const REFERENCE: Fault =
    Fault::new("reference to a string that is not in the dictionary");
/// A known JSON field in another spelling, some of which backends accept.
pub(crate) const SPELLING: Fault = Fault::new("known field not spelled in lowerCamelCase");
/// Half a surrogate pair in a name, or in a text that a decision depends on. Parsers replace, keep
/// or refuse it.
pub(crate) const SURROGATE: Fault = Fault::new("unpaired surrogate in a JSON string");
/// A character that is not allowed at this place.
pub(crate) const UNEXPECTED: Fault = Fault::new("unexpected character in JSON");
/// A member name that is not UTF-8.
pub(crate) const UTF8: Fault = Fault::new("JSON member name that is not UTF-8");
