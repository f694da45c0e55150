package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// Nodes are two nodes of a deployment that know of each other. EndB ends the second.
type Nodes struct {
	A, B authcore.PresenceStore
	EndB func()
}

// RunPresence tests the nodes that open returns. Each call of open returns a new deployment without connections.
func RunPresence(t *testing.T, open func(t *testing.T) Nodes) {
	t.Helper()
	each(t, presenceTests, open)
}

var presenceTests = []group[Nodes]{
	{"nobody", presenceNobody},
	{"sum of all nodes", presenceSum},
	{"replacing", presenceReplacing},
	{"many accounts", presenceMany},
	{"a node that ended", presenceEnded},
	{"hostile strings", presenceHostile},
	{"at once", presenceAtOnce},
	{"cancellation", presenceCanceled},
}

type (
	counts   = map[authcore.SessionID]int
	accounts = map[authcore.AccountID]counts
)

// wantPresent checks the presence of an account on both nodes.
func wantPresent(t *testing.T, n Nodes, account authcore.AccountID, present counts) {
	t.Helper()
	for _, s := range []authcore.PresenceStore{n.A, n.B} {
		got, err := s.Presence(t.Context(), account)
		must(t, err)
		if len(got)+len(present) > 0 {
			want(t, fmt.Sprintf("presence of %.20q", account), got, present)
		}
	}
}

func presenceNobody(t *testing.T, n Nodes) {
	wantPresent(t, n, newAccountID(), nil)
	must(t, n.A.SetPresence(t.Context(), nil))
	must(t, n.A.SetPresence(t.Context(), accounts{newAccountID(): nil, newAccountID(): {}}))
}

func presenceSum(t *testing.T, n Nodes) {
	x, y := newAccountID(), newAccountID()
	must(t, n.A.SetPresence(t.Context(), accounts{x: {"1": 2, "2": 1}, y: {"3": 1}}))
	must(t, n.B.SetPresence(t.Context(), accounts{x: {"1": 3, "4": 1}}))
	wantPresent(t, n, x, counts{"1": 5, "2": 1, "4": 1})
	wantPresent(t, n, y, counts{"3": 1})
	wantPresent(t, n, newAccountID(), nil)
}

func presenceReplacing(t *testing.T, n Nodes) {
	x, y := newAccountID(), newAccountID()
	must(t, n.A.SetPresence(t.Context(), accounts{x: {"1": 2, "2": 1}, y: {"3": 1}}))
	must(t, n.B.SetPresence(t.Context(), accounts{x: {"1": 3}}))
	must(t, n.A.SetPresence(t.Context(), accounts{x: {"2": 4}}))
	wantPresent(t, n, x, counts{"1": 3, "2": 4})
	wantPresent(t, n, y, counts{"3": 1})
	must(t, n.A.SetPresence(t.Context(), accounts{x: {}}))
	wantPresent(t, n, x, counts{"1": 3})
	must(t, n.B.SetPresence(t.Context(), accounts{x: nil}))
	wantPresent(t, n, x, nil)
}

func presenceMany(t *testing.T, n Nodes) {
	all := make(accounts)
	var ids []authcore.AccountID
	for i := range 3000 {
		id := newAccountID()
		ids = append(ids, id)
		all[id] = counts{authcore.SessionID(fmt.Sprint(i)): i + 1}
	}
	must(t, n.A.SetPresence(t.Context(), all))
	for _, i := range []int{0, 1, 499, 500, 501, 999, 1000, 2998, 2999} {
		wantPresent(t, n, ids[i], all[ids[i]])
	}
}

func presenceEnded(t *testing.T, n Nodes) {
	x := newAccountID()
	must(t, n.A.SetPresence(t.Context(), accounts{x: {"1": 1}}))
	must(t, n.B.SetPresence(t.Context(), accounts{x: {"1": 2, "2": 1}}))
	wantPresent(t, n, x, counts{"1": 3, "2": 1})
	n.EndB()
	got, err := n.A.Presence(t.Context(), x)
	must(t, err)
	want(t, "presence without the node that ended", got, counts{"1": 1})
}

func presenceHostile(t *testing.T, n Nodes) {
	all := make(accounts)
	for i, s := range hostile {
		all[authcore.AccountID(s)] = counts{authcore.SessionID(s): i + 1, "x": 1}
	}
	must(t, n.A.SetPresence(t.Context(), all))
	for account, sessions := range all {
		wantPresent(t, n, account, sessions)
	}
}

func presenceAtOnce(t *testing.T, n Nodes) {
	x, y := newAccountID(), newAccountID()
	var done sync.WaitGroup
	for _, s := range []authcore.PresenceStore{n.A, n.B} {
		done.Go(func() {
			for i := range rounds {
				if err := s.SetPresence(t.Context(), accounts{x: {"1": i + 1}, y: {"2": 1}}); err != nil {
					t.Error(err)
				}
			}
		})
		done.Go(func() {
			for range rounds {
				if _, err := s.Presence(t.Context(), x); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	wantPresent(t, n, x, counts{"1": 2 * rounds})
	wantPresent(t, n, y, counts{"2": 2})
}

func presenceCanceled(t *testing.T, n Nodes) {
	x := newAccountID()
	wantCanceled(t, "setting", n.A.SetPresence(canceled(), accounts{x: {"1": 1}}))
	_, err := n.A.Presence(canceled(), x)
	wantCanceled(t, "reading", err)
	wantPresent(t, n, x, nil)
}
