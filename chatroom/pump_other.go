//go:build !unix

package chatroom

import "syscall"

func rawConn(Conn) syscall.RawConn { return nil }

func (p *pump) runRaw(syscall.RawConn) error { panic("chatroom: no raw connections here") }
