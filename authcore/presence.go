package authcore

// goAway shows a session as offline until another connection is held under it.
func (l *Live) goAway(account AccountID, id SessionID) {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, ok := sh.sessions[id]; ok && e.account == account {
		e.away = true
		l.noteLocked(e)
	}
}

// presenceOf returns the number of connections of each session of an account.
func (l *Live) presenceOf(account AccountID) map[SessionID]int {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.presenceLocked(account, func(*liveSession) {})
}

func (sh *liveShard) presenceLocked(account AccountID, note func(*liveSession)) map[SessionID]int {
	out := make(map[SessionID]int)
	for e := sh.accounts[account]; e != nil; e = e.sibling {
		note(e)
		if n := e.shownLocked(); n > 0 {
			out[e.id] = n
		}
	}
	return out
}

// changes returns the accounts whose presence should be stored, with their connections by session, and marks them as
// stored: those that were noted and, unless due is nil, those with a session for which due is true.
func (l *Live) changes(due func(*liveSession) bool) map[AccountID]map[SessionID]int {
	out := make(map[AccountID]map[SessionID]int)
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		if due != nil {
			for _, e := range sh.sessions {
				if due(e) {
					sh.changed[e.account] = struct{}{}
				}
			}
		}
		for account := range sh.changed {
			out[account] = sh.presenceLocked(account, func(e *liveSession) { e.told = e.shownLocked() })
		}
		clear(sh.changed)
		sh.mu.Unlock()
	}
	return out
}

// untold marks accounts as not stored, after storing failed.
func (l *Live) untold(accounts map[AccountID]map[SessionID]int) {
	for account := range accounts {
		sh := l.shard(account)
		sh.mu.Lock()
		sh.changed[account] = struct{}{}
		sh.mu.Unlock()
	}
}
