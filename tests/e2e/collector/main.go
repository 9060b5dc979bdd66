// Collector sends with an exporter of the OpenTelemetry Collector and prints the result as one line of JSON: it sends
// one batch once, or with -retry several batches through the exporter's queue and retries.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// arguments are the arguments of one run.
type arguments struct {
	batch    batch
	exporter exporterSettings
	timeout  time.Duration
	// Only with retries: how long batches are made, the interval between them, and how long the exporter then has to
	// finish.
	duration, every, patience time.Duration
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	arguments, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	// The exporter's own timeout ends an export. This one ends a start or a shutdown that hangs.
	limit := 2*arguments.timeout + arguments.duration + arguments.patience
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var printed any
	if arguments.exporter.retry {
		printed, err = arguments.deliver(ctx)
	} else {
		printed, err = arguments.send(ctx)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(printed)
}

func parse(args []string) (*arguments, error) {
	a := &arguments{}
	flags := flag.NewFlagSet("collector", flag.ContinueOnError)
	flags.StringVar(&a.exporter.protocol, "protocol", "", "grpc or http")
	flags.StringVar(&a.exporter.endpoint, "endpoint", "", "HOST:PORT where the gate listens")
	flags.StringVar(&a.exporter.ca, "cacert", "", "CA that the gate's certificate is checked against (PEM)")
	flags.StringVar(&a.exporter.cert, "cert", "", "the sender's certificate (PEM)")
	flags.StringVar(&a.exporter.key, "key", "", "the sender's private key (PEM)")
	flags.StringVar(&a.exporter.compression, "compression", "none", "as in the exporter's configuration")
	flags.StringVar(&a.exporter.encoding, "encoding", "proto", "proto, or json over HTTP")
	flags.StringVar(&a.batch.signal, "signal", "", "logs, metrics, traces or profiles")
	flags.IntVar(&a.batch.groups, "groups", 5, "resources; for metrics also the data points of each metric")
	flags.IntVar(&a.batch.without, "without", 0, "how many of the groups lack source.name")
	flags.Int64Var(&a.batch.nanos, "time", 0, "time of the first record in ns since 1970; each is 1 ns after the one before")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "for an export")
	flags.BoolVar(&a.exporter.retry, "retry", false, "queue and retries are on, and its own counters are printed")
	flags.DurationVar(&a.duration, "for", 0, "with -retry: batches are sent for so long; one at least")
	flags.DurationVar(&a.every, "every", 200*time.Millisecond, "with -retry: between two batches")
	flags.DurationVar(&a.patience, "patience", 30*time.Second, "with -retry: for what is in the queue at the end")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	a.exporter.timeout = a.timeout
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q is not an option", flags.Arg(0))
	case !a.exporter.retry && a.duration > 0:
		return nil, fmt.Errorf("-for %s: only with -retry", a.duration)
	case a.batch.groups < 1 || a.batch.without < 0 || a.batch.without > a.batch.groups:
		return nil, fmt.Errorf("-groups %d -without %d: more lack source.name than there are, or there are none",
			a.batch.groups, a.batch.without)
	}
	return a, nil
}
