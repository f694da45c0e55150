package sqlstore

import (
	"context"
	"fmt"
)

// missingRights are those that a user needs who does not own the tables.
const missingRights = `SELECT COALESCE(string_agg(right_to || ' on ' || name, ', ' ORDER BY name, right_to), '')
	FROM unnest(ARRAY['accounts', 'sessions', 'revoked_sessions', 'codes', 'invites', 'phones', 'phone_codes', 'devices', 'keys']) AS name,
		unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_to
	WHERE NOT has_table_privilege(name, right_to)`

// checkRights refuses a user who would be let in, and then fail with every call.
func (s *Store) checkRights(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var missing string
	if err := s.read.QueryRowContext(ctx, missingRights).Scan(&missing); err != nil || missing == "" {
		return err
	}
	return fmt.Errorf("the user lacks privileges: %s; as the owner of the tables, GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+
		"public (or where they are) TO this user", missing)
}
