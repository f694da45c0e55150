package app

import "testing"

// What the configuration in force keeps for the stores of an earlier one is gone with the last connection over those.
func TestClosedStoresAreForgotten(t *testing.T) {
	app := func() *App {
		a, _ := Provision(t, `{"handler":"static_response"}`)
		a.takeCharge()
		return a
	}
	before, after := app(), app()
	if before.holder == after.holder {
		t.Fatal("both have the same stores")
	}
	count := func() (n int) {
		after.others.Range(func(_, _ any) bool {
			n++
			return true
		})
		return n
	}
	release := before.Hold()
	for range 2 {
		_, done, err := before.Service(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	if err := before.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d services over other stores, want 1", n)
	}
	release()
	if _, open := states.References(before.stores.key); open {
		t.Error("the stores are still open")
	}
	if n := count(); n != 0 {
		t.Errorf("%d services are left of stores that are closed", n)
	}
}
