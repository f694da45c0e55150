package gatetest

// TryStatus is Response as far as a test needs no more than the status: zero for a connection that was cut instead.
func (c *Raw) TryStatus() (int, string) {
	c.t.Helper()
	resp, body, err := c.TryResponse()
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, body
}
