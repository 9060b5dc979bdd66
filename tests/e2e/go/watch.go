package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// reply is a reply as it was received.
type reply struct {
	Kind string `json:"kind"`
	// Over gRPC, and if there was no reply.
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	// Over HTTP.
	Status      int          `json:"status,omitempty"`
	ContentType *string      `json:"content_type,omitempty"`
	Error       *errorStatus `json:"error,omitempty"`
}

// errorStatus is a google.rpc.Status without its details.
type errorStatus struct {
	Code    int32  `json:"code"`
	Message string `json:"message"`
}

type partialSuccess struct {
	Rejected int64  `json:"rejected"`
	Message  string `json:"message"`
}

type noted struct {
	reply          reply
	partialSuccess *partialSuccess
}

// watch records each reply and passes it on unchanged.
type watch struct {
	signal  string
	replies []noted
}

func (w *watch) note(one noted) { w.replies = append(w.replies, one) }

// codes are the names in the gRPC specification, where grpc.Code.String has other names.
var codes = strings.Fields("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS " +
	"PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE " +
	"DATA_LOSS UNAUTHENTICATED")

func (w *watch) intercept(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	var header, trailer metadata.MD
	err := invoke(ctx, method, request, response, conn, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...)
	said := status.Convert(err)
	switch {
	case err == nil:
		w.note(noted{reply{Kind: "grpc", Code: "OK"}, partial(response)})
	case len(header)+len(trailer) == 0:
		// A reply of Envoy has at least a date; otherwise the client's own library made up this status.
		w.note(noted{reply: reply{Kind: "none", Message: said.Message()}})
	default:
		code := said.Code().String()
		if int(said.Code()) < len(codes) {
			code = codes[said.Code()]
		}
		w.note(noted{reply: reply{Kind: "grpc", Code: code, Message: said.Message()}})
	}
	return err
}

// watched is a transport that records replies.
type watched struct {
	*watch
	http.RoundTripper
}

func (w watched) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		w.note(noted{reply: reply{Kind: "none", Message: err.Error()}})
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		w.note(noted{reply: reply{Kind: "none", Message: err.Error()}})
		return nil, err
	}
	contentType := response.Header.Get("content-type")
	one := noted{reply: reply{Kind: "http", Status: response.StatusCode, ContentType: &contentType}}
	if response.StatusCode/100 == 2 {
		message := map[string]proto.Message{
			"logs":    &collogs.ExportLogsServiceResponse{},
			"metrics": &colmetrics.ExportMetricsServiceResponse{},
			"traces":  &coltrace.ExportTraceServiceResponse{},
		}[w.signal]
		if err := unmarshal(contentType, body, message); err != nil {
			return nil, fmt.Errorf("no export response in %q: %w", body, err)
		}
		one.partialSuccess = partial(message)
	} else if said := (&rpcstatus.Status{}); unmarshal(contentType, body, said) == nil {
		one.reply.Error = &errorStatus{said.Code, said.Message}
	}
	w.note(one)
	return response, nil
}

func unmarshal(contentType string, body []byte, to proto.Message) error {
	if contentType == "application/json" {
		return protojson.Unmarshal(body, to)
	}
	return proto.Unmarshal(body, to)
}

// partial is the partial success in a response of any signal, or nil if it has none.
func partial(response any) *partialSuccess {
	switch said := response.(type) {
	case *collogs.ExportLogsServiceResponse:
		if said.PartialSuccess != nil {
			return &partialSuccess{said.PartialSuccess.RejectedLogRecords, said.PartialSuccess.ErrorMessage}
		}
	case *colmetrics.ExportMetricsServiceResponse:
		if said.PartialSuccess != nil {
			return &partialSuccess{said.PartialSuccess.RejectedDataPoints, said.PartialSuccess.ErrorMessage}
		}
	case *coltrace.ExportTraceServiceResponse:
		if said.PartialSuccess != nil {
			return &partialSuccess{said.PartialSuccess.RejectedSpans, said.PartialSuccess.ErrorMessage}
		}
	}
	return nil
}
