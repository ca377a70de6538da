/* Design documents from a folder in the shape of 2010 (CouchApp): _design/NAME/views/VIEW/map.js,
 * reduce.js. A directory is an object; a file is a string, byte for byte, under its name without
 * the ending, or, when it ends in .json, the value in it. language is javascript unless given.
 * Names that begin with '.' or end with '~' are passed over. */
#ifndef VOGELER_DESIGN_H
#define VOGELER_DESIGN_H

#include <jansson.h>
#include <stddef.h>

/* Array of {"_id": "_design/NAME", ...}, by name. dir may be the folder that holds _design, or
 * _design itself. NULL: err says which file and why. */
json_t *design_read(const char *dir, char *err, size_t err_size);

#endif
