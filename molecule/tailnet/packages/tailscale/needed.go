//go:build needed

// Package tailscale names the programs that are built, so that go.mod and go.sum hold what they need.
package tailscale

import (
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
)
