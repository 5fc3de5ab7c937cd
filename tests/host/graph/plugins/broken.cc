// A library without the plugin table: the catalog refuses it.
extern "C" int broken_library() { return 1; }
