// Collector sends one batch with an exporter of the OpenTelemetry Collector and prints what came of it, as one
// line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// arguments are what one run is asked for.
type arguments struct {
	batch    batch
	exporter exporterSettings
	timeout  time.Duration
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
	// The exporter's own timeout ends the export; this ends a start or a shutdown that hangs.
	ctx, cancel := context.WithTimeout(context.Background(), 2*arguments.timeout)
	defer cancel()
	outcome, err := arguments.send(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(outcome)
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
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "for the export")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	a.exporter.timeout = a.timeout
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q is not an option", flags.Arg(0))
	case a.batch.groups < 1 || a.batch.without < 0 || a.batch.without > a.batch.groups:
		return nil, fmt.Errorf("-groups %d -without %d: more lack source.name than there are, or there are none",
			a.batch.groups, a.batch.without)
	}
	return a, nil
}
