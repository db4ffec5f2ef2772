package serve

import (
	"context"

	"grapnel/internal/ingest"
	"grapnel/internal/manage"
)

// tell publishes a notice as an event of its tenant's.
func (s *Server) tell(ctx context.Context, n manage.Notice) error {
	results, _, err := s.ingest.Publish(ctx, &ingest.Submission{
		Items: []ingest.Item{{Tenant: n.Tenant, Key: n.Key, Type: n.Type, Data: n.Data, Metadata: n.Metadata, Time: n.Time}},
		Only:  n.Only,
		Own:   true,
	})
	if err == nil && results[0].Err != nil {
		err = results[0].Err
	}
	return err
}

// tellAgain repeats the notices that a crash or a failure swallowed. Half the
// window in which ids are recognised is far enough back, and surely within it.
func (s *Server) tellAgain(ctx context.Context) {
	s.manager.TellAgain(ctx, s.now().Add(-s.window()/2))
}
