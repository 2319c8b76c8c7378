// The complete example of PipeOps' service token guide, through Countersign, with SDK v0.18.3 or later.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/PipeOpsHQ/pipeops-go-sdk/pipeops"
)

func main() {
	transport := &http.Client{Timeout: 30 * time.Second, Transport: Keyed{http.DefaultTransport}}
	client, err := pipeops.NewClient(os.Getenv("URL"), pipeops.WithHTTPClient(transport))
	if err != nil {
		log.Fatalf("Failed to make a client: %v", err)
	}
	client.SetToken(os.Getenv("JWT"))

	ctx := context.Background()
	workspace := &pipeops.ServiceTokenWorkspaceOptions{WorkspaceUUID: os.Getenv("WORKSPACE")}

	// Create service token for CI/CD
	token, _, err := client.ServiceTokens.CreateServiceAccountToken(WithKey(ctx), &pipeops.ServiceAccountTokenRequest{
		Name:          "GitHub Actions",
		Description:   "Token for GitHub Actions CI/CD",
		Permissions:   []string{"api:read"},
		ExpiresAt:     time.Now().Add(24 * time.Hour).Format(time.RFC3339),
		WorkspaceUUID: workspace.WorkspaceUUID,
	})
	if err != nil {
		log.Fatalf("Failed to create token: %v", err)
	}
	tokenUUID := token.Data.Token.UUID
	fmt.Printf("Created token: %s\n", tokenUUID)
	save(token.Data.Token.Token)

	// List all tokens
	tokens, _, err := client.ServiceTokens.ListServiceAccountTokens(ctx, workspace)
	if err != nil {
		log.Fatalf("Failed to list tokens: %v", err)
	}
	for _, t := range tokens.Data.Tokens {
		fmt.Printf("- %s (%s)\n", t.Name, t.UUID)
	}

	// Get token details
	details, _, err := client.ServiceTokens.GetServiceAccountToken(ctx, tokenUUID, workspace)
	if err != nil {
		log.Fatalf("Failed to get token: %v", err)
	}
	fmt.Printf("Active: %v\n", details.Data.Token.IsActive)

	// Update token metadata
	updated, _, err := client.ServiceTokens.UpdateServiceAccountToken(ctx, tokenUUID, &pipeops.ServiceAccountTokenUpdateRequest{
		Name:        "Updated Name",
		Description: "Updated description",
	}, workspace)
	if err != nil {
		log.Fatalf("Failed to update token: %v", err)
	}
	fmt.Printf("Renamed: %s\n", updated.Data.Token.Name)

	// Revoke a token
	_, err = client.ServiceTokens.RevokeServiceAccountToken(ctx, tokenUUID, workspace)
	if err != nil {
		log.Fatalf("Failed to revoke token: %v", err)
	}
	fmt.Println("Token revoked successfully")
}

// save stands for your secret store.
func save(secret string) { fmt.Printf("A secret of %d characters is to be kept\n", len(secret)) }
