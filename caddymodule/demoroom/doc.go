// Package demoroom is the HTTP handler chatgate_demo_room, a small chat that stands in for a legacy one. It trusts the identity
// headers of every request, so it must be reachable through chatgate_proxy alone; package checks warns if it is not.
package demoroom
