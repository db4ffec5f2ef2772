// Package crashpoint kills the process at named places, so that a test can
// show what a crash there leaves behind (cases 2 and 7).
//
// Code on the path of an event calls Hit with the name of a point. In an
// ordinary build Hit is empty and is compiled away. In a build with the tag
// "crashpoint", the environment variable GRAPNEL_CRASHPOINT=name:count makes
// the count-th Hit of that name end the process with SIGKILL: no deferred call
// runs, no buffer is flushed.
//
// Names lists all points; a test asserts that the list and the calls agree.
//
// Some points lie on paths that an ordinary server takes once a day. Set makes
// the limits that lead there small in such a build, and is the identity in an
// ordinary one.
package crashpoint
