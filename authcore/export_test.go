package authcore

// NewMemory makes the store of the domain's tests, for what is tested from outside of the package.
func NewMemory() *memory { return newMemory() }
