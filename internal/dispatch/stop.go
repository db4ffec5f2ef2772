package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Stop picks nothing more and waits for the requests that are running. When
// ctx ends it breaks them off: their deliveries are due at once at the next
// start. Then it stores all outcomes and the progress. Only the first call
// does so.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	was := d.phase
	if was == stopping {
		d.mu.Unlock()
		return nil
	}
	d.phase = stopping
	if d.inFlight == [classes]int{} {
		close(d.drained)
	}
	d.paging.Broadcast()
	d.spreading.Broadcast()
	d.mu.Unlock()
	defer d.cancel()
	defer d.record.cancel()
	if was == idle {
		return nil
	}

	select {
	case <-d.drained:
	case <-ctx.Done():
		d.cancel()
		<-d.drained
	}
	d.mu.Lock()
	d.dismiss(time.Now().Add(time.Hour))
	d.mu.Unlock()
	d.working.Wait()

	d.record.close()
	overdue := time.AfterFunc(flushLimit, d.record.cancel)
	<-d.record.done
	overdue.Stop()
	close(d.quit)
	d.cancel()
	d.upkeep.Wait()
	return d.settleAll()
}

// settleAll stores the last progress and says whether everything is stored.
func (d *Dispatcher) settleAll() error {
	d.mu.Lock()
	backed := d.backed
	d.mu.Unlock()
	select {
	case <-d.lost:
		return errors.New("dispatch: the lease was lost")
	default:
	}
	if backed > 0 {
		return fmt.Errorf("dispatch: %d outcomes could not be stored; their deliveries may be sent again", backed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	return d.checkpoint(ctx)
}
