package l7edge

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// newGRPC runs the interoperability server of gRPC and returns its address.
func newGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// The client cases of gRPC's interoperability tests pass through the edge, with TLS and without, to two endpoints. A case that fails ends
// the process and says which.
func TestGRPCInterop(t *testing.T) {
	e := start(t, newWorld(t, service(newGRPC(t), newGRPC(t)), overH2C()), nil)
	for name, c := range map[string]struct {
		at    string
		creds credentials.TransportCredentials
	}{
		"TLS":       {e.https, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})},
		"cleartext": {e.http, insecure.NewCredentials()},
	} {
		t.Run(name, func(t *testing.T) {
			cc, err := grpc.NewClient("passthrough:///"+c.at, grpc.WithTransportCredentials(c.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			tc := testgrpc.NewTestServiceClient(cc)
			for _, step := range []struct {
				name string
				do   func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)
			}{
				{"empty_unary", interop.DoEmptyUnaryCall}, {"large_unary", interop.DoLargeUnaryCall},
				{"client_streaming", interop.DoClientStreaming}, {"server_streaming", interop.DoServerStreaming},
				{"ping_pong", interop.DoPingPong}, {"empty_stream", interop.DoEmptyStream},
				{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer}, {"cancel_after_begin", interop.DoCancelAfterBegin},
				{"cancel_after_first_response", interop.DoCancelAfterFirstResponse}, {"custom_metadata", interop.DoCustomMetadata},
				{"status_code_and_message", interop.DoStatusCodeAndMessage}, {"special_status_message", interop.DoSpecialStatusMessage},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				t.Log(step.name)
				step.do(ctx, tc)
				cancel()
			}
			interop.DoUnimplementedMethod(t.Context(), cc)
			interop.DoUnimplementedService(t.Context(), testgrpc.NewUnimplementedServiceClient(cc))
		})
	}
	eventually(t, "all end", func() bool { return e.carrier.handlers.Load() == 0 })
	for _, name := range []string{"web/b0", "web/b1"} {
		if got := stats(e, name); got.InFlight != 0 || got.Requests == 0 {
			t.Errorf("%+v", got)
		}
	}
}

// What the edge answers itself a gRPC client understands.
func TestGRPCFaults(t *testing.T) {
	rule := overH2C()
	rule.Timeout = 100 * time.Millisecond
	for name, c := range map[string]struct {
		at   string
		want codes.Code
	}{
		"refused": {nowhere(t), codes.Unavailable},
		"silent": {listen(t, func(c net.Conn) {
			buf := make([]byte, 1)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, newWorld(t, service(c.at), rule), func(c *Config) { c.ConnectTimeout = 50 * time.Millisecond })
			cc, err := grpc.NewClient("passthrough:///"+e.http, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			_, err = testgrpc.NewTestServiceClient(cc).EmptyCall(t.Context(), &testgrpc.Empty{})
			if status.Code(err) != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
