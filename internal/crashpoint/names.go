package crashpoint

// Settings is the variable that Set reads: "name=value,name=value".
const Settings = "GRAPNEL_CRASHPOINT_SET"

// Environment is the variable that arms a point: "name:count", or "name" for
// its first Hit.
const Environment = "GRAPNEL_CRASHPOINT"

// Names lists every point, in the order in which an event meets them.
func Names() []string {
	return []string{
		"after-read-body",      // a publish was read, nothing was stored
		"before-commit",        // events are in an open transaction; on PostgreSQL, about to be sent in a statement that commits itself
		"after-commit",         // they are durable, nobody was answered
		"after-send",           // a request was written, no answer was read
		"after-response",       // the endpoint answered, the outcome is in memory
		"before-result-commit", // outcomes are in an open transaction
		"mid-seal",             // a segment is half sealed
		"mid-retention",        // a segment is half removed
		"mid-migration",        // a schema is half migrated
		"mid-move",             // a folder is half moved into a database
	}
}
