// Package checks looks for what makes a configuration unsafe although it works: ways around the gate, endpoints that a rewrite
// hides, logs that get tokens. It registers its checks with the app, which runs them on a whole provisioned configuration and
// logs what they find. A check changes nothing and never fails a configuration.
package checks
