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

// presenceOf returns how many connections hang on each session of an account.
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

// changes returns the accounts whose presence is to be told, with their connections by session, and takes them for told:
// those that were noted, and those with a session of which due, unless it is nil, says so.
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

// untold takes accounts for not told: telling failed.
func (l *Live) untold(accounts map[AccountID]map[SessionID]int) {
	for account := range accounts {
		sh := l.shard(account)
		sh.mu.Lock()
		sh.changed[account] = struct{}{}
		sh.mu.Unlock()
	}
}
