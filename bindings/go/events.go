package pan123

import (
	"fmt"
	"iter"
	"sync"

	"pan123/internal/abi"
)

// EventKind says what an Event tells.
type EventKind uint32

// The kinds. Exactly one of the last four ends each run of an upload. Ignore kinds that you do not know.
const (
	// EventStage: the upload entered a stage.
	EventStage EventKind = abi.EV_STATE
	// EventProgress: BytesDone of BytesTotal.
	EventProgress EventKind = abi.EV_PROGRESS
	// EventSlice: a slice was acknowledged.
	EventSlice EventKind = abi.EV_SLICE
	// EventRetry: a request failed and will be sent again; Text is the reason.
	EventRetry EventKind = abi.EV_RETRY
	// EventLog: something worth knowing, in Text.
	EventLog EventKind = abi.EV_LOG
	// EventCompleted is the last event: done.
	EventCompleted EventKind = abi.EV_COMPLETED
	// EventFailed is the last event: failed with Err.
	EventFailed EventKind = abi.EV_FAILED
	// EventCancelled is the last event: cancelled as asked.
	EventCancelled EventKind = abi.EV_CANCELLED
	// EventPaused is the last event until Resume.
	EventPaused EventKind = abi.EV_PAUSED
)

var eventNames = map[EventKind]string{
	EventStage: "stage", EventProgress: "progress", EventSlice: "slice", EventRetry: "retry", EventLog: "log",
	EventCompleted: "completed", EventFailed: "failed", EventCancelled: "cancelled", EventPaused: "paused",
}

// String is a word, for example "slice".
func (k EventKind) String() string {
	if name, ok := eventNames[k]; ok {
		return name
	}
	return fmt.Sprintf("event %d", uint32(k))
}

// Stage is where an upload stands.
type Stage uint32

// The stages, in their order.
const (
	// StageNew: not started yet.
	StageNew Stage = abi.STAGE_NEW
	// StageHashing: digests are being computed.
	StageHashing Stage = abi.STAGE_HASHING
	// StageCreating: the service is asked whether it has the bytes.
	StageCreating Stage = abi.STAGE_CREATING
	// StageSending: bytes go out.
	StageSending Stage = abi.STAGE_SENDING
	// StageCompleting: all bytes are acknowledged; the service merges and checks.
	StageCompleting Stage = abi.STAGE_COMPLETING
	// StageDone: over.
	StageDone Stage = abi.STAGE_DONE
)

var stageNames = [...]string{"new", "hashing", "creating", "sending", "completing", "done"}

// String is a word, for example "sending".
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage %d", uint32(s))
}

// Event is news of an upload. Which fields mean something depends on Kind; the others are zero.
type Event struct {
	Kind EventKind
	// Seq counts up per upload, from 1. A gap means that events were left out, because nobody took them.
	Seq uint64
	// BytesDone is what connections have taken or, while digests are computed, what was hashed; of BytesTotal.
	BytesDone, BytesTotal int64
	// Stage of EventStage.
	Stage Stage
	// Slice of EventSlice and perhaps EventRetry, from 1.
	Slice int
	// Attempt of EventRetry is the try that failed, from 1.
	Attempt int
	// FileID of EventCompleted.
	FileID int64
	// Text of EventRetry, EventLog and EventFailed.
	Text string
	// Err of the last event, unless it is EventCompleted; the same as Wait returns.
	Err error
}

func newEvent(ev *abi.Event) Event {
	event := Event{
		Kind: EventKind(ev.Kind), Seq: ev.Seq, BytesDone: int64(ev.BytesDone), BytesTotal: int64(ev.BytesTotal),
		Slice: int(ev.SliceNo), Text: unmarked(ev.Text),
	}
	switch event.Kind {
	case EventStage:
		event.Stage = Stage(ev.Value)
	case EventRetry:
		event.Attempt = int(ev.Value)
	case EventCompleted:
		event.FileID = ev.Value
	}
	return event
}

// Events are the upload's news from where the last loop over them ended. A loop ends after the last event of a run, or
// at once if nothing runs and none is left, or if it would have to wait in a callback. It need not be read: progress that waits is brought up to date, and of other
// events the oldest are left out when a thousand wait. Two loops at a time share the events.
func (u *Upload) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			event, ok := u.mail.next(u.client.lib.mayWait)
			if !ok || !yield(event) || event.Kind >= EventCompleted {
				return
			}
		}
	}
}

// mailbox holds events until they are taken.
type mailbox struct {
	mu      sync.Mutex
	arrived sync.Cond
	events  []Event
	// A last event is still to come.
	isOpen bool
}

const mailboxMax = 1000

// open announces a run.
func (m *mailbox) open(isOpen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.isOpen = isOpen
	m.arrived.Broadcast()
}

func (m *mailbox) put(event Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := len(m.events) - 1
	switch {
	case event.Kind == EventProgress && last >= 0 && m.events[last].Kind == EventProgress:
		m.events[last] = event
	case len(m.events) >= mailboxMax:
		m.events = append(m.events[1:], event)
	default:
		m.events = append(m.events, event)
	}
	m.isOpen = event.Kind < EventCompleted
	m.arrived.Broadcast()
}

// next waits for an event; false if none will come, or it may not wait.
func (m *mailbox) next(mayWait func() error) (Event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.events) == 0 {
		if !m.isOpen || mayWait() != nil {
			return Event{}, false
		}
		m.arrived.Wait()
	}
	event := m.events[0]
	m.events = m.events[1:]
	return event, true
}
