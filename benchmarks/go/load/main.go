// Load makes the calls of a JSON array on standard input, so many in flight, and prints what became of each.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type call struct {
	Method  string `json:"method"`
	Request []byte `json:"request"` // base64 in JSON
	Token   string `json:"token"`
}

// A sample is what became of a call. Start counts from when the first call was made.
type sample struct {
	Start   float64    `json:"start"`
	Seconds float64    `json:"seconds"`
	Code    codes.Code `json:"code"`
}

func main() {
	address := flag.String("address", "", "the server's host:port")
	inFlight := flag.Int("in-flight", 128, "callers, each with one call at a time")
	connections := flag.Int("connections", 4, "connections over which the callers are spread")
	flag.Parse()
	var calls []call
	if err := json.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		log.Fatalf("standard input must have calls: %v", err)
	}
	opened, err := connect(*address, *connections)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(drive(opened, calls, *inFlight)); err != nil {
		log.Fatal(err)
	}
}

// connect opens the connections and waits until they are ready, at most ten seconds each.
func connect(address string, number int) ([]*grpc.ClientConn, error) {
	opened := make([]*grpc.ClientConn, number)
	for i := range opened {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		connection.Connect()
		for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
			if !connection.WaitForStateChange(ctx, state) {
				return nil, ctx.Err()
			}
		}
		opened[i] = connection
	}
	return opened, nil
}

// drive makes each call once, in order, with so many callers; the samples are in the order of the calls.
func drive(connections []*grpc.ClientConn, calls []call, inFlight int) []sample {
	samples := make([]sample, len(calls))
	var next atomic.Int64
	var callers sync.WaitGroup
	begin := time.Now()
	for caller := range inFlight {
		connection := connections[caller%len(connections)]
		callers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(calls)); i = next.Add(1) - 1 {
				start := time.Now()
				err := invoke(connection, calls[i])
				samples[i] = sample{start.Sub(begin).Seconds(), time.Since(start).Seconds(), status.Code(err)}
			}
		})
	}
	callers.Wait()
	return samples
}

func invoke(connection *grpc.ClientConn, made call) error {
	ctx := context.Background()
	if made.Token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+made.Token)
	}
	var response []byte
	return connection.Invoke(ctx, made.Method, &made.Request, &response)
}

// A bytesCodec leaves messages as bytes: neither side of a load is measured by what the client makes of them.
type bytesCodec struct{}

func (bytesCodec) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (bytesCodec) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = data
	return nil
}

func (bytesCodec) Name() string { return "proto" }
