function (doc) {
	// When each host was last heard of. While its values are only confirmed that time is not in the record
	// but in the mark beside it, mark/HOST: ask with group=true, which puts both together.
	if (doc.doc_type === 'SystemRecord') {
		emit(doc._id, {record: true, seen: doc.updated_at});
	} else if (doc.doc_type === 'RecordMark') {
		emit(doc._id.slice('mark/'.length), {record: false, seen: doc.updated_at});
	}
}
