package caddymodule

// Endpoint is one of a dialect's routes, at its default prefix.
type Endpoint struct{ Dialect, Method, Path string }

// Endpoints returns every endpoint of every dialect.
func Endpoints() (all []Endpoint) {
	for _, d := range dialects {
		for _, rt := range d.routes() {
			all = append(all, Endpoint{d.name(), rt.method, d.defaultPrefix() + rt.path})
		}
	}
	return all
}
