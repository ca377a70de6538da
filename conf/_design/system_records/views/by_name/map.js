function (doc) {
	// The hosts by name; add include_docs=true for their records.
	if (doc.doc_type === 'SystemRecord' && doc.system_name) {
		emit(doc.system_name, null);
	}
}
