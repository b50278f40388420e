//go:build needed

// Package headscale names the program that is built, so that go.mod and go.sum hold what it needs.
package headscale

import _ "github.com/juanfont/headscale/cmd/headscale"
