// Package paralleltest is for tests that wait more than they compute: for servers, for outages to be noticed, for limits to pass.
package paralleltest
