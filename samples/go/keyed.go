// A create that is repeated mints once: the transport for PipeOps' Go SDK, and a run of it without the SDK.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type createKey struct{}

// WithKey makes a context for one create: every repeat under it carries the same Idempotency-Key.
func WithKey(ctx context.Context) context.Context {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return context.WithValue(ctx, createKey{}, hex.EncodeToString(random))
}

// Keyed adds the key of its context to a request.
type Keyed struct{ http.RoundTripper }

func (t Keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	if key, ok := r.Context().Value(createKey{}).(string); ok {
		r = r.Clone(r.Context())
		r.Header.Set("Idempotency-Key", key)
	}
	return t.RoundTripper.RoundTrip(r)
}

func main() {
	client := &http.Client{Timeout: 30 * time.Second, Transport: Keyed{http.DefaultTransport}}
	ctx := WithKey(context.Background())
	// The second call stands for a repeat whose first answer was lost.
	first, repeat := create(ctx, client), create(ctx, client)
	call(context.Background(), client, http.MethodDelete, "/"+first, nil)
	if first != repeat {
		log.Fatalf("two tokens were minted: %s and %s", first, repeat)
	}
	fmt.Println("one token was minted by two creates, and revoked")
}

func create(ctx context.Context, client *http.Client) string {
	return call(ctx, client, http.MethodPost, "", []byte(`{"name":"nightly-report","scopes":["api:read"],"expires_in":"1h"}`))
}

// call returns the id of the token that the answer is about.
func call(ctx context.Context, client *http.Client, method, path string, body []byte) string {
	url := os.Getenv("URL") + "/api/v1/service-account-tokens" + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("JWT"))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Message string
		Data    struct{ ID string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode >= 300 {
		log.Fatalf("%d: %s", response.StatusCode, answer.Message)
	}
	return answer.Data.ID
}
