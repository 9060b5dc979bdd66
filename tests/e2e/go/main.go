// Sender sends OTLP exports with the OpenTelemetry SDK for Go, and prints the result of each as one line of JSON.
//
// The SDK's own exporters send. They do not return the reply, so the program records the reply on its way to them: over
// gRPC with an interceptor, over HTTP in the transport of the exporters' client. The exit status is 0 if a request was
// sent, whatever its result.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// arguments are the arguments of one run.
type arguments struct {
	protocol, encoding, signal string
	endpoint, ca, cert, key    string
	gzip                       bool
	records                    int
	without                    []int
	headers                    map[string]string
	runID                      string
	padding                    int
	timeout                    time.Duration
	duration, every            time.Duration
}

// outcome is printed for each export.
type outcome struct {
	SDK            string          `json:"sdk"`
	Result         string          `json:"result"`
	Attempts       int             `json:"attempts"`
	Milliseconds   int64           `json:"milliseconds"`
	Reply          reply           `json:"reply"`
	PartialSuccess *partialSuccess `json:"partial_success"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	w := &watch{signal: a.signal}
	export, err := a.exporter(w)
	if err != nil {
		return err
	}
	printer := json.NewEncoder(os.Stdout)
	until := time.Now().Add(a.duration)
	first := 0
	for count := 0; count < len(a.without) || time.Now().Before(until); count++ {
		batch := batch{a, first, a.without[count%len(a.without)]}
		w.replies = nil
		began := time.Now()
		err := export(context.Background(), batch)
		took := time.Since(began)
		if err := printer.Encode(w.outcome(err, took)); err != nil {
			return err
		}
		first += a.records
		time.Sleep(a.every)
	}
	return nil
}

// outcome returns the result of the last export. Its error is what the exporter returned, for a partial success too.
func (w *watch) outcome(err error, took time.Duration) outcome {
	o := outcome{SDK: "go", Result: "success", Attempts: len(w.replies), Milliseconds: took.Milliseconds()}
	if err != nil {
		o.Result = "failure"
	}
	if len(w.replies) == 0 {
		o.Reply = reply{Kind: "none", Message: fmt.Sprint("the exporter sent nothing: ", err)}
		return o
	}
	last := w.replies[len(w.replies)-1]
	o.Reply, o.PartialSuccess = last.reply, last.partialSuccess
	return o
}

func parse(args []string) (*arguments, error) {
	a := &arguments{headers: map[string]string{}, without: []int{0}}
	flags := flag.NewFlagSet("sender", flag.ContinueOnError)
	flags.StringVar(&a.protocol, "protocol", "", "grpc or http")
	flags.StringVar(&a.encoding, "encoding", "proto", "proto, or json for traces over HTTP")
	flags.StringVar(&a.signal, "signal", "", "logs, metrics or traces")
	flags.StringVar(&a.endpoint, "endpoint", "", "HOST:PORT where the gate listens")
	flags.StringVar(&a.ca, "cacert", "", "CA that the gate's certificate is checked against (PEM)")
	flags.StringVar(&a.cert, "cert", "", "the sender's certificate (PEM)")
	flags.StringVar(&a.key, "key", "", "the sender's private key (PEM)")
	flags.BoolVar(&a.gzip, "gzip", false, "compress the request")
	flags.IntVar(&a.records, "records", 10, "log records, data points or spans")
	flags.Func("without", "how many of them lack source.name (logs, traces: on a resource of their own; metrics: on the "+
		"data point); M,M,..: one export for each, the records numbered on", a.parseWithout)
	flags.Func("header", "NAME=VALUE, may be repeated", a.parseHeader)
	flags.StringVar(&a.runID, "run-id", "", "put into the resource attribute run.id, to find the records again")
	flags.IntVar(&a.padding, "padding", 0, "bytes of a resource attribute that makes the request large; none if 0")
	seconds(flags, &a.timeout, "timeout", 10, "for an export and all its retries, in seconds")
	seconds(flags, &a.duration, "for", 0, "then export again and again until so many seconds after the start")
	seconds(flags, &a.every, "every", 0, "the pause after each export, in seconds")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for _, without := range a.without {
		if without < 0 || without > a.records {
			return nil, fmt.Errorf("-without %d must lie between 0 and -records %d", without, a.records)
		}
	}
	return a, nil
}

func (a *arguments) parseWithout(text string) error {
	a.without = nil
	for number := range strings.SplitSeq(text, ",") {
		without, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		a.without = append(a.without, without)
	}
	return nil
}

func (a *arguments) parseHeader(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("write NAME=VALUE")
	}
	a.headers[name] = value
	return nil
}

func seconds(flags *flag.FlagSet, to *time.Duration, name string, usual time.Duration, usage string) {
	*to = usual * time.Second
	flags.Func(name, usage, func(text string) error {
		number, err := strconv.ParseFloat(text, 64)
		*to = time.Duration(number * float64(time.Second))
		return err
	})
}
