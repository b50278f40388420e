module cerebrum.invalid/tailnet/tailscale

go 1.27

require tailscale.com v1.102.3
