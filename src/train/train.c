/* placeholder */ typedef int hone_train_room;
