package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
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
