package dispatch_test

import (
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

func smallMemory(c *dispatch.Config) { c.Memory = 64 << 10 }

func ignoreFailed() cmp.Option {
	return cmp.Transformer("failed", func(m map[hook.DeliveryState]int) int { return m[hook.Delivered] + m[hook.Failed] })
}

func lastOf[T any](list []T) T { return list[len(list)-1] }
