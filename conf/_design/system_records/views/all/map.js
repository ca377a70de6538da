function (doc) {
	// Every record, whole, by host.
	if (doc.doc_type === 'SystemRecord') {
		emit(doc._id, doc);
	}
}
