/* SPDX-License-Identifier: Apache-2.0 */
/* Design documents from a folder in the shape of 2010 (CouchApp): _design/NAME/views/VIEW/map.js,
 * reduce.js. A directory is an object; a file is a string, byte for byte, under its name without
 * the ending, or, when it ends in .json, the value in it. language is javascript unless given.
 * Names that begin with '.' or end with '~' are passed over. _design/NAME/_attachments/ are files
 * of any bytes: they become attachments, whose names are their paths. */
#ifndef VOGELER_DESIGN_H
#define VOGELER_DESIGN_H

#include <jansson.h>
#include <stddef.h>

/* Array of {"_id": "_design/NAME", ...}, by name. dir may be the folder that holds _design, or
 * _design itself. A document that cannot be read is left out, and a sentence that names the file
 * and why is added to broken (an array). NULL: there is none at all, and err says why; broken may
 * hold sentences too. */
json_t *design_read(const char *dir, json_t *broken, char *err, size_t err_size);

#endif
