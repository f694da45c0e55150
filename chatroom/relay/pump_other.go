//go:build !unix

package relay

import "syscall"

func rawConn(Conn) syscall.RawConn { return nil }

func (p *pump) runRaw(syscall.RawConn) error { panic("relay: no raw connections here") }
