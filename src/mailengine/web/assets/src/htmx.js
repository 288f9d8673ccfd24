// The extensions look for the global `htmx` while they load, so the order of these two lines matters.
import "htmx.org";
import "htmx.org/dist/ext/hx-sse.js";
