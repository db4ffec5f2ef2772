package serve

import (
	"grapnel/internal/api"
	"grapnel/internal/dialect/all"
	"grapnel/internal/telemetry"
	"grapnel/internal/vendors"
)

// hostVendors serves the vendors' management APIs before the native one.
func (s *Server) hostVendors(native *api.API, metrics *telemetry.Metrics) (*vendors.Host, error) {
	list, err := all.Vendors()
	if err != nil {
		return nil, err
	}
	return vendors.New(vendors.Config{
		Vendors: list, Taken: native.Patterns(), Next: native, Callers: native.Callers(), Manager: s.manager, Directory: s.directory, Reader: s.store,
		Renderer: native.Composer, Metrics: metrics, Tracer: s.tracer, Logger: s.logger, PublicURL: s.PublicURL(),
	})
}
