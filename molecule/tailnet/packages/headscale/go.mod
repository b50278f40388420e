module cerebrum.invalid/tailnet/headscale

go 1.27

require github.com/juanfont/headscale v0.29.0
